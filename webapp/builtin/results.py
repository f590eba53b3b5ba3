"""What a built-in tool answers: plain words, and the same as data."""

from __future__ import annotations

from typing import Any

LONGEST_TEXT = 20_000
CUT = "\n… (cut: the answer was longer)"


def said(text: str, structured: dict[str, Any] | None = None) -> dict[str, Any]:
    if len(text) > LONGEST_TEXT:
        text = text[: LONGEST_TEXT - len(CUT)] + CUT
    result: dict[str, Any] = {"content": [{"type": "text", "text": text}], "isError": False}
    return result if structured is None else result | {"structuredContent": structured}


def failed(text: str) -> dict[str, Any]:
    """A tool error. It carries no data: an error must not look like an answer that fits the output schema."""
    return said(text) | {"isError": True}


def printable(text: str, longest: int = 500) -> str:
    """A stranger's text on one line: control, formatting and other invisible characters become escapes."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"
