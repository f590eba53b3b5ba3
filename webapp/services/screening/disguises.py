"""What is there in another dress: encoded text, markup that a page would not show, words far out of view."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from webapp.services.screening.flags import Flag, passage

ENCODED = re.compile(
    r"(?<![\w+/=-])[A-Za-z0-9+/_-]{48,}={0,2}(?![\w+/=-])|(?:\\x[0-9a-fA-F]{2}){12,}|(?:\\u[0-9a-fA-F]{4}){10,}"
)
DECODE = re.compile(
    r"\bdecode\b[^.!?]{0,60}\b(?:follow|execute|obey|do what|carry out|instructions?)\b|\brot13\b[^.!?]{0,40}\bdecode",
    re.I,
)
UNSEEN = re.compile(
    r"<!--.*?(?:-->|$)|<(?:script|iframe|object|embed|svg|style)\b[^>]*>|<img\b[^>]*\bonerror|"
    r"style\s*=\s*[\"'][^\"']*(?:display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0|opacity\s*:\s*0|"
    r"color\s*:\s*(?:white|#fff|transparent))|!\[[^\]]*\]\(\s*https?://[^)]*[?&=][^)]*\)|^\[[^\]]*\]:\s*#?\s*[(\"<]|"
    r"<\w+ hidden\b|data:text/html",
    re.I | re.S | re.M,
)  # fmt: skip
# One of these stands in whatever UNSEEN finds, in lower case.
SIGNS = ("<", "style", "![", "]:", "data:text/html")
SHORTEST_CODE = 48
GAP = re.compile(r"\s{12,}")
WIDE, DEEP = 100, 12
LEGIBLE = 0.9


def flags_in(where: str, text: str) -> Iterator[Flag]:
    if len(text) < 12 or where == "icons" or where.startswith("icons "):
        return
    for found in ENCODED.finditer(text) if len(text) >= SHORTEST_CODE else ():
        if _hides_text(found[0]):
            yield Flag("encoded", where, passage(text, *found.span()))
            break
    lowered = text.lower()
    if ("decode" in lowered or "rot13" in lowered) and (found_order := DECODE.search(text)):
        yield Flag("encoded", where, passage(text, *found_order.span()))
    if place := _unseen(text, any(map(lowered.__contains__, SIGNS))):
        yield Flag("unseen", where, passage(text, *place))


def _unseen(text: str, markup: bool) -> tuple[int, int] | None:
    """Markup that shows nothing, or words that stand far below or beside all others."""
    for gap in GAP.finditer(text):
        if gap.end() < len(text) and (len(gap[0]) >= WIDE or gap[0].count("\n") >= DEEP):
            return gap.end(), gap.end() + 100
    found = UNSEEN.search(text) if markup else None
    return found.span() if found else None


def _hides_text(blob: str) -> bool:
    """Random ids and hashes decode to noise; words decode to words."""
    if blob.startswith("\\"):
        return True
    if re.fullmatch(r"[0-9a-fA-F]+", blob):
        return len(blob) % 2 == 0 and _legible(bytes.fromhex(blob))
    plain = blob.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return _legible(base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True))
    except (binascii.Error, ValueError):
        return False


def _legible(decoded: bytes) -> bool:
    fine = sum(32 <= byte < 127 or byte in (9, 10, 13) for byte in decoded)
    return len(decoded) >= 16 and fine >= LEGIBLE * len(decoded) and b" " in decoded
