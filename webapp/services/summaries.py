"""What the log keeps of a tool's answer: its form and size; of an error the beginning of what it says."""

from __future__ import annotations

import re
from typing import Any

from webapp.upstream.envelope import INPUT_REQUIRED

LONGEST = 200
MOST_PARTS = 5
# Servers quote what was sent to them, our key for them included: what could be one is masked.
KEY_LIKE = re.compile(r"(?=[\w%+/=~.-]*\d)[\w%+/=~.-]{12,}")


def of(result: dict[str, Any], mode: str) -> dict[str, str]:
    """For the details of a log row. `mode` is the setting LOG_ARGUMENTS: by “digest” nothing said is kept.

    Never raises, whatever the server sent.
    """
    if result.get("resultType") == INPUT_REQUIRED:
        return {"result": _wants(result.get("inputRequests"))}
    content = result.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    said = [_form(part) for part in parts[:MOST_PARTS]]
    if len(parts) > MOST_PARTS:
        said.append(f"{len(parts) - MOST_PARTS} more")
    if result.get("structuredContent") is not None:
        said.append("structured content")
    kept = {"result": ", ".join(said) or "empty"}
    if result.get("isError") and mode != "digest" and (text := _first_text(parts)):
        cut = KEY_LIKE.sub("•••", text[: 2 * LONGEST])[
            :LONGEST
        ]  # masked first: half a key is none to the mask
        kept["error"] = cut if len(text) <= LONGEST else f"{cut}… ({len(text)} characters)"
    return kept


def _wants(requests: object) -> str:
    """What a server asks back before it goes on."""
    asked = requests.values() if isinstance(requests, dict) else ()
    methods = [str(one.get("method"))[:40] for one in asked if isinstance(one, dict)]
    return f"asks back: {', '.join(methods[:MOST_PARTS]) or 'nothing yet'}"


def _form(part: dict[str, Any]) -> str:
    text = part.get("text")
    if isinstance(text, str):
        return "1 character of text" if len(text) == 1 else f"{len(text)} characters of text"
    return str(part.get("type", "something without a type"))[:40]


def _first_text(parts: list[dict[str, Any]]) -> str:
    return next((part["text"] for part in parts if isinstance(part.get("text"), str)), "")
