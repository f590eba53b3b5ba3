"""What one piece of evidence says about a tool, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Says(Enum):
    READ = "it only looks"
    WRITE = "it changes something"
    EITHER = "it may do either"
    NOTHING = "no verb to go by"


@dataclass(frozen=True, slots=True)
class Finding:
    says: Says
    word: str = ""


NOTHING = Finding(Says.NOTHING)
