"""What somebody can want for many tools at once: one policy, their seeds, or a preset for a whole server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from webapp.errors import InvalidInput
from webapp.services import policies
from webapp.services.tools import Candidate


@dataclass(frozen=True)
class Wish:
    """What somebody wants for many tools at once. `what` stands after the tools: “set 12 tools to Disabled”."""

    name: str
    word: str
    what: str
    policy_for: Callable[[Candidate], str]
    hint: str = ""


def _always(policy: str) -> Callable[[Candidate], str]:
    return lambda tool: policy


def _seed(tool: Candidate) -> str:
    return tool.seed_policy


def _no_writes(tool: Candidate) -> str:
    return tool.policy if tool.kind == "read" else "disabled"


WISHES = {
    wish.name: wish
    for wish in (
        *(Wish(name, word, f"to {word}", _always(name)) for name, word in policies.WORDS.items()),
        Wish("seed", "Their seeds", "to their seeds", _seed),
        Wish("careful", "Careful", "by the preset Careful", _always("approval"),
             "Every tool waits for approval."),
        Wish("balanced", "Balanced", "by the preset Balanced", _seed,
             "Every tool goes back to its seed: reads run, the rest waits for approval."),
        Wish("read-only", "Read-only", "by the preset Read-only", _no_writes,
             "What may write is disabled; reads stay as they are."),
        Wish("open", "Open", "by the preset Open", _always("auto"),
             "Every tool runs without asking. For tests, not for clients’ systems."),
    )
}  # fmt: skip
PRESETS = [WISHES[name] for name in ("careful", "balanced", "read-only", "open")]


def named(name: str) -> Wish:
    if name not in WISHES:
        raise InvalidInput("Choose the policy to set.", field="to")
    return WISHES[name]
