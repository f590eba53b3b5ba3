"""Characters that a model reads and a person would not see. Where writing needs them they are no finding: inside
emoji, between letters of joining scripts, beside right-to-left text, single spaces of other widths."""

from __future__ import annotations

import re
from collections.abc import Iterator

from webapp.services.screening.flags import Flag, passage
from webapp.services.visible import is_hidden

_EMOJI = "\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff"
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
# Arabic and its relatives, the scripts of India, Sinhala, Thai to Myanmar, Khmer, Mongolian.
_JOINING = "\u0600-\u08ff\u0900-\u0dff\u0e00-\u109f\u1780-\u18af"
_ODD_SPACES = "\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
NEEDED = re.compile(
    "|".join((
        "^\ufeff",
        "\r(?=\n)",
        f"(?<=[{_EMOJI}])[\ufe0e\ufe0f](?![{_SELECTORS}])",
        "(?<=[0-9#*])\ufe0f(?=\u20e3)",
        f"(?<=[{_EMOJI}\ufe0f])\u200d(?=[{_EMOJI}])",
        f"(?<=[{_JOINING}])[\u200c\u200d](?=[{_JOINING}])",
        f"(?<![{_ODD_SPACES}])[{_ODD_SPACES}](?![{_ODD_SPACES}])",
        "(?<=\U0001f3f4)[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f",  # a region's flag
        "[\U0001f000-\U0001faff]",  # also those that this Python does not know yet
    ))
)  # fmt: skip
RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
DIRECTIONS = re.compile("(?<![\u200e\u200f\u061c])[\u200e\u200f\u061c](?![\u200e\u200f\u061c])")


def flags_in(where: str, text: str) -> Iterator[Flag]:
    if text.isascii() and text.isprintable():
        return
    blanked = NEEDED.sub(lambda found: "-" * len(found[0]), text)
    if RIGHT_TO_LEFT.search(text):
        blanked = DIRECTIONS.sub("-", blanked)
    for place, character in enumerate(blanked):
        if is_hidden(character):
            yield Flag("hidden", where, passage(text, place, place + 1))
            return
