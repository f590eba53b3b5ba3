"""What leaves for a spreadsheet: no cell of it begins a formula, wherever the spreadsheet parts cells."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from webapp.services import export

STARTS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
HOSTILE = st.text(st.sampled_from("=+-@\t\r\n;, x'\"\uff1d\uff0b\uff0d\uff20"))


@given(HOSTILE | st.text())
def test_no_part_of_a_cell_begins_a_formula(text: str) -> None:
    safe = export.safe(text)
    assert not any(part.startswith(STARTS) for part in re.split("[;\t\r\n]", safe))
    assert safe.replace("'", "") == text.replace("'", "")


def test_what_is_no_text_stays() -> None:
    assert [export.safe(one) for one in (-1, 2.5, None, "x;y", "a=b", "1-2")] == [
        -1,
        2.5,
        None,
        "x;y",
        "a=b",
        "1-2",
    ]
