"""The result of a tool, made fit for a page: somebody else's words and pictures, cut, named, and never followed."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from webapp.services.visible import has_hidden
from webapp.upstream import strict

MOST_PARTS = 50
LONGEST_TEXT = 20_000
LONGEST_JSON = 50_000
LARGEST_IMAGE = 512 * 1024  # bytes, in the page itself
# What a browser only paints. SVG is a document with addresses in it, so it is not among them.
SIGNATURES = {
    "image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff", "image/gif": b"GIF8", "image/webp": b"RIFF",
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """`kind`: text, image (`data` is a data: address), link (`text` its address), or note (what it is instead)."""

    kind: str
    text: str = ""
    title: str = ""
    data: str = ""
    cut: int = 0  # characters of the text that are not shown

    @property
    def leads_somewhere(self) -> bool:
        """Whether the address is one that a person may click on: plain, and what it looks like."""
        return self.kind == "link" and not self.cut and _is_plain_web_address(self.text)


@dataclass(frozen=True)
class Shown:
    is_error: bool
    parts: list[Part] = field(default_factory=list)
    more: int = 0  # parts that are not shown
    structured: Part | None = None


def shown(result: dict[str, Any]) -> Shown:
    """Never raises, whatever the server sent."""
    content = result.get("content")
    blocks = content if isinstance(content, list) else []
    structured = result.get("structuredContent")
    told = [block for block in blocks if structured is None or not _says_the_same(block, structured)]
    return Shown(
        is_error=bool(result.get("isError")),
        parts=[_part(block) for block in told[:MOST_PARTS]],
        more=max(0, len(told) - MOST_PARTS),
        structured=None if structured is None else _text(_pretty(structured), LONGEST_JSON),
    )


def _part(block: Any) -> Part:
    match block:
        case {"type": "text", "text": str(text)}:
            return _text(text, LONGEST_TEXT)
        case {"type": "image", "data": str(data)}:
            return _image(data, str(block.get("mimeType", "")))
        case {"type": "audio", "data": str(data)}:
            return Part("note", f"A sound ({_kind(block)}, {_size(data)}); it is not played here.")
        case {"type": "resource_link", "uri": str(uri)}:
            return _link(uri, block)
        case {"type": "resource", "resource": {"text": str(text)} as resource}:
            return _text(text, LONGEST_TEXT, str(resource.get("uri", "")))
        case {"type": "resource", "resource": {"blob": str(data)} as resource}:
            return Part(
                "note", f"A file ({_kind(resource)}, {_size(data)}): {str(resource.get('uri', ''))[:500]}"
            )
    return _text(_pretty(block), LONGEST_TEXT, "A part of a kind that Gatehouse does not know")


def _text(text: str, longest: int, title: str = "") -> Part:
    return Part("text", text[:longest], title[:300], cut=max(0, len(text) - longest))


def _link(uri: str, block: dict[str, Any]) -> Part:
    title = block.get("title") or block.get("name")
    return Part("link", uri[:2000], str(title)[:300] if title else "", cut=max(0, len(uri) - 2000))


def _image(data: str, mime: str) -> Part:
    if len(data) > LARGEST_IMAGE * 4 // 3:
        return Part("note", f"An image ({mime[:60]}, {_size(data)}), too large to show here.")
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return Part("note", "An image whose data is broken.")
    if mime not in SIGNATURES or not raw.startswith(SIGNATURES[mime]):
        return Part(
            "note", f"An image ({mime[:60] or 'of no kind'}, {_size(data)}) of a kind that is not shown here."
        )
    return Part("image", data=f"data:{mime};base64,{base64.b64encode(raw).decode()}")


def _says_the_same(block: Any, structured: Any) -> bool:
    """Servers repeat their structured content as text, for older clients."""
    match block:
        case {"type": "text", "text": str(text)} if text.lstrip()[:1] in ("{", "["):
            try:
                return bool(json.loads(text) == structured)
            except (ValueError, RecursionError):
                return False
    return False


def _is_plain_web_address(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    plain = uri.isascii() and uri.isprintable() and " " not in uri and not has_hidden(uri)
    return plain and parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc


def _pretty(value: Any) -> str:
    try:
        return strict.pretty(value)
    except RecursionError:
        return "(nested too deeply to show)"


def _kind(block: dict[str, Any]) -> str:
    return str(block.get("mimeType") or "of no kind")[:60]


def _size(data: str) -> str:
    size = len(data) * 3 // 4
    return f"{size / 1024 / 1024:.1f} MB" if size >= 1024 * 1024 else f"{max(1, size // 1024)} kB"
