"""What of a call fits on a card: long values and long lists are cut, and say so; the whole of it is a file away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from webapp.services.approvals.differences import Argument
from webapp.upstream.strict import pretty


@dataclass(frozen=True)
class Room:
    """How many arguments, how many characters of each, and of all together."""

    rows: int
    each: int
    all: int


IN_THE_INBOX = Room(40, 2_000, 8_000)
ALONE = Room(400, 20_000, 60_000)


def fitted(arguments: Sequence[Argument], room: Room) -> list[Argument]:
    """The first that fit; the values themselves are cut where they are shown."""
    kept: list[Argument] = []
    left = room.all
    for argument in arguments[: room.rows]:
        if left <= 0:
            break
        kept.append(argument)
        left -= min(len(as_text(argument.value)), room.each)
    return kept


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else pretty(value)


def text_of(result: dict[str, Any]) -> str:
    """What an answer says; what is no text stands for itself in brackets."""
    content = result.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    return "\n".join(
        str(part.get("text", "")) if part.get("type") == "text" else f"[{part.get('type')}]" for part in parts
    ).strip()
