"""Text of somebody else, as HTML."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from webapp.services.visible import reveal

# After a separator, and before what is none.
SEAM = re.compile(r"(?<=[:_./])(?=[^:_./])")
MARK = Markup('<mark class="hidden-char">{}</mark>')


def visible(text: object) -> Markup:
    """Hidden characters are marked. Tables use this itself, not the macro of this name: a hundred rows have 500 of
    them, and a macro takes ten times as long."""
    plain = str(text or "")
    if plain.isascii() and plain.isprintable():
        return escape(plain)
    return Markup("").join(MARK.format(piece) if hidden else piece for piece, hidden in reveal(plain))


def as_name(text: object) -> Markup:
    """A name that is too long for its line is broken at its seams, not in the middle of a word. Copied, it is the same:
    a `<wbr>` is no text."""
    return Markup("<wbr>").join(map(visible, SEAM.split(str(text or ""))))


def unbroken(text: object) -> Markup:
    """Words like T-1041 are not broken at their hyphen where a line has room for them."""
    whole = Markup('<span class="whole">{}</span>')
    words = str(text or "").split(" ")
    return Markup(" ").join(whole.format(visible(word)) if "-" in word else visible(word) for word in words)
