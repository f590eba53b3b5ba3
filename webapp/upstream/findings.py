"""What a check of an address found, sentence by sentence, and the verdict at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from webapp.errors import EgressDenied, Refused, Unreachable
from webapp.upstream.egress import Allowance
from webapp.upstream.handshake import ServerInfo

Step = Literal[
    "address", "tls", "protocol", "server", "sign_in", "resource_metadata", "service_metadata", "registration",
    "return_address", "token", "tools",
]  # fmt: skip
STEPS: tuple[Step, ...] = get_args(Step)
# info: neither good nor bad, such as what can't be known yet.
State = Literal["ok", "info", "note", "problem"]
Switch = Literal["", "pkce_unannounced", "old_endpoints"]
Credentials = Literal["", "accepted", "refused", "lacking", "not looked at"]
Kind = Literal["modern", "legacy", "http_sse", "not_mcp", "unreachable", "blocked", "private", "denied"]
LONGEST_FACT = 300
SignIn = Literal["none", "bearer", "basic", "oauth", "oauth_late", "calls_only", "unknown"]


@dataclass(frozen=True)
class Finding:
    """`text` is what was seen, in one sentence. `seen` is the evidence, a line each: a URL, a status, a field of a
    document; never a secret.

    `suggestion` is a URL to try instead. `switch` is the one under Advanced that would help (see `visit.Known`).
    """

    step: Step
    state: State
    text: str
    why: str = ""
    next_step: str = ""
    seen: str = ""
    suggestion: str = ""
    switch: Switch = ""


Report = Callable[[Finding], None]


@dataclass(frozen=True)
class Wanted:
    """`oauth`: see `discovery.SignInService.as_dict`; empty where OAuth is announced but can't be used."""

    sign_in: SignIn
    oauth: dict[str, Any] = field(default_factory=dict)
    offer: Allowance | None = None  # for a sign-in service in the own network, as the server is


@dataclass(frozen=True)
class Verdict:
    """`url` is the one to store. `version` is empty while a sign-in hides which version the server speaks;
    `kind` is then `modern`, because whoever speaks to it next begins there.

    `sign_in`: `oauth_late` is OAuth that only calls ask for, `calls_only` the same for a token.
    `credentials`: what the server thinks of those that were tried; `demanded` are the scopes that they lack.
    """

    kind: Kind
    sign_in: SignIn
    url: str
    version: str = ""
    server: ServerInfo | None = None
    tool_count: int | None = None
    oauth: dict[str, Any] = field(default_factory=dict)
    offer: Allowance | None = None
    findings: tuple[Finding, ...] = ()
    credentials: Credentials = ""
    demanded: str = ""

    @property
    def usable(self) -> bool:
        return self.kind in ("modern", "legacy")


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """By the way from the address to the tools; those of one step stay as they came."""
    return sorted(findings, key=lambda finding: STEPS.index(finding.step))


def fact(name: str, value: object) -> str:
    """One line of evidence from somebody else's text: short, and one line for sure."""
    words = " ".join(str(value).split())
    return f"{name}: {words[:LONGEST_FACT]}{'…' if len(words) > LONGEST_FACT else ''}"


def problem(error: Refused, *, step: Step | None = None, seen: str = "", suggestion: str = "") -> Finding:
    return Finding(
        step or _step_of(error),
        "problem",
        error.what,
        error.why,
        error.next_step,
        seen=seen,
        suggestion=suggestion,
    )


def _step_of(error: Refused) -> Step:
    if isinstance(error, EgressDenied):
        return "address"
    if isinstance(error, Unreachable):
        return _STEP_OF_FAILURE.get(error.kind, "protocol")
    return "protocol"


_STEP_OF_FAILURE: dict[str, Step] = {
    "dns": "address",
    "refused": "address",
    "connect_timeout": "address",
    "tls": "tls",
}
