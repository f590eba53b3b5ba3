"""Our JSON takes and gives what the standard library's does, only faster: anything else would change what people
approved, what agents get, or what is JSON at all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.routes import pages, tools
from webapp.services.approvals import excerpts
from webapp.upstream.strict import ascii_encoded, canonical, decoded, encoded, pretty

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(codec=None, exclude_categories=()))
VALUES = st.recursive(
    SCALARS | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=30
)
REFUSED = [
    b"", b" ", b"NaN", b"[Infinity]", b"-Infinity", b"1e400", b"-1e400", b"01", b"1.", b".5", b"+1", b"--1", b"1e",
    b"[1,]", b'{"a":1,}', b"{'a':1}", b"{1:2}", b"{}x", b"1 2", b"//x\n1", b"\xef\xbb\xbf{}", b"\xa01", b"\x0b{}",
    b'"a\tb"', b'"a\x00b"', b'"\\x"', b'"\\u20"', b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b"tru",
    b"9" * 5000,
]  # fmt: skip


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_reads_what_the_standard_library_reads(value: Any, escaped: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=escaped, indent=indent)
    found = decoded(text.encode() if escaped else text)
    assert json.dumps(found) == json.dumps(value)


@given(VALUES)
def test_what_goes_out_comes_back(value: Any) -> None:
    for spelled in (encoded(value), ascii_encoded(value)):
        assert json.dumps(json.loads(spelled)) == json.dumps(value)
    assert ascii_encoded(value).isascii()


@given(VALUES)
def test_the_spelling_that_digests_are_made_of_is_the_standard_librarys(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert canonical(value) == text.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    "number",
    ["1e16", "1.5e-7", "0.00001", "1e-5", "1e22", "-0.0", "1e15", "0.1", "123456789012345678901234567890"],
)
def test_numbers_have_one_spelling(number: str) -> None:
    for value in (json.loads(number), [json.loads(number)], {"a": json.loads(number)}):
        assert canonical(value) == json.dumps(value, separators=(",", ":")).encode()


@pytest.mark.parametrize("body", REFUSED)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        decoded(body)


def test_bottomless_nesting_is_refused() -> None:
    for depth in (1_100, 1_000_000):
        with pytest.raises(RecursionError):
            decoded(b"[" * depth + b"]" * depth)


def test_long_numbers_stay_whole() -> None:
    assert (
        encoded(decoded(b"[18446744073709551616,-9223372036854775809]"))
        == b"[18446744073709551616,-9223372036854775809]"
    )


def test_half_a_character_goes_on_as_it_came() -> None:
    assert encoded(decoded(b'"\\ud800"')) == b'"\\ud800"'
    assert canonical("\ud800") == b'"\xed\xa0\x80"'


def test_what_people_read_is_indented_as_ever() -> None:
    for value in (
        {},
        [],
        {"a": []},
        [{}, {"b": [1, 2.5, None, True, 'é\u202e\n"<']}],
        10**40,
        "x",
        [10**300],
    ):
        assert pretty(value) == json.dumps(value, indent=2, ensure_ascii=False)
    deep: dict[str, object] = {}
    for _ in range(500):
        deep = {"a": deep}
    assert json.loads(pretty(deep)) == deep


@pytest.mark.parametrize("shown", [pretty, pages.pretty, tools.pretty, excerpts.as_text])
def test_what_people_read_is_indented_at_once(shown: Callable[[object], str]) -> None:
    """An agent may ask for a person's yes to a value of megabytes: the inbox must not wait for it."""
    large = {f"k{number}": [number] for number in range(30_000)}
    began = time.process_time()
    assert len(shown(large)) > 600_000
    ours, began = time.process_time() - began, time.process_time()
    json.dumps(large, indent=2)
    assert 3 * ours < time.process_time() - began
