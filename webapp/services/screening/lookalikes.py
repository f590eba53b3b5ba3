"""Letters that look like others, and names that pass for the name of another server's tool.

A table of our own: of Unicode's thousands of confusable characters, these pass for the letters that tools are named
with; NFKC takes care of the wide, styled and circled ones.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from webapp.services.screening.flags import Flag

_TWINS = {
    "a": "аɑα", "b": "ЬƄ", "c": "сϲⅽ", "d": "ԁⅾ", "e": "еєҽ", "g": "ɡց", "h": "һհ", "i": "іıɩι", "j": "јϳ", "k": "кκ",
    "l": "ӏⅼ", "m": "мⅿ", "n": "ոп", "o": "оοօσ", "p": "рρ", "q": "ԛ", "r": "гᴦ", "s": "ѕꜱ", "t": "тτ", "u": "υսц",
    "v": "νѵⅴ", "w": "ԝѡω", "x": "хχⅹ", "y": "уүγ", "z": "ᴢ", "A": "АΑ", "B": "ВΒ", "C": "СϹ", "E": "ЕΕ", "H": "НΗ",
    "I": "ІΙ", "J": "Ј", "K": "КΚ", "M": "МΜ", "N": "Ν", "O": "ОΟ", "P": "РΡ", "S": "Ѕ", "T": "ТΤ", "X": "ХΧ",
    "Y": "ҮΥ", "Z": "Ζ", "-": "‐‑‒–—−", "_": "ˍ", ".": "․",
}  # fmt: skip
_TABLE = {ord(twin): letter for letter, twins in _TWINS.items() for twin in twins}
# What is hard to tell apart even within ASCII.
_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "-": "_", ".": "_"})
_LATIN = re.compile("[A-Za-z]")
WORD = re.compile(r"\w+")
GATEHOUSE = "gatehouse"  # has tools of its own: see own_tools


def plain(text: str) -> str:
    """As somebody reads it who doesn't look closely: no accents, no twins, no line breaks."""
    if text.isascii():
        return text
    folded = unicodedata.normalize("NFKD", text.translate(_TABLE)).translate(_TABLE)
    return "".join(letter for letter in folded if not unicodedata.combining(letter))


def skeleton(name: str) -> str:
    return plain(name).lower().translate(_ALIKE).replace("rn", "m").replace("vv", "w")


class Neighbours:
    """The tools of all other servers, by how they look. `tools`: (tool's name, server's name). `own`: the names that
    the server itself has."""

    def __init__(self, server: str, tools: Iterable[tuple[str, str]], own: Iterable[str] = ()) -> None:
        self.server = server
        self._known: dict[str, tuple[str, str]] = {}
        self._servers: set[str] = {GATEHOUSE}
        self._own = {name.lower() for name in own}
        self._tools: set[str] = set()
        for name, of in tools:
            self._known.setdefault(skeleton(name), (name, of))
            self._servers.add(of)
            self._tools.add(name.lower())
        self._servers.discard(server)
        self.seen: dict[tuple[str, str], tuple[Flag, ...]] = {}  # texts of the server, and what is in them

    def is_server(self, word: str) -> bool:
        return word.lower() in self._servers

    def is_tool(self, word: str) -> bool:
        """Of another server, and none of its own."""
        return word.lower() in self._tools and word.lower() not in self._own

    def flags_of(self, name: str) -> Iterator[Flag]:
        known, of = self._known.get(skeleton(name), (name, ""))
        if known.lower() != name.lower() and known.lower().replace("-", "_") != name.lower().replace(
            "-", "_"
        ):
            yield Flag("lookalike", "its name", f"{name}, like {known} of {of}")
        elif mixed(name):
            yield Flag("lookalike", "its name", name)
        elif pretended := next((one for one in self._servers if _pretends(name, one)), ""):
            yield Flag("lookalike", "its name", f"{name}, as if it were a tool of {pretended}")


def mixed(text: str) -> bool:
    """A word of Latin letters and of others that look like them."""
    if text.isascii():
        return False
    return any(
        _LATIN.search(word) and any(ord(letter) in _TABLE for letter in word) for word in WORD.findall(text)
    )


def _pretends(name: str, server: str) -> bool:
    return len(server) > 2 and name.lower().startswith(
        (f"{server}__", f"mcp:{server}:", f"builtin:{server}:")
    )
