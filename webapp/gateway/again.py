"""A program of 2026-07-28 waits longer than one request lasts: it comes again, by itself, with a state of ours.

That is a multi-round request that asks for nothing. The state says which approval it waits for and how often it came.
A server's own state is none of ours, and passes through.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from webapp.store.secrets import KeyProblem, vault
from webapp.upstream.envelope import INPUT_REQUIRED

RECORD, PREFIX = "request state", "gatehouse."
# Clients stop after ten rounds: before that the call is answered, with word that it still waits.
MOST_ROUNDS = 8
LONGEST = 2000


@dataclass(frozen=True)
class Again:
    approval_id: str
    round: int = 1

    @property
    def result(self) -> dict[str, Any]:
        sealed = vault.seal(RECORD, asdict(self)).decode()
        return {"resultType": INPUT_REQUIRED, "requestState": PREFIX + sealed}


def read(state: object) -> Again | None:
    """None for what we did not write."""
    if not isinstance(state, str) or not state.startswith(PREFIX) or len(state) > LONGEST:
        return None
    try:
        return Again(**vault.open(RECORD, state.removeprefix(PREFIX).encode()))
    except KeyProblem:
        return None
