"""One check of one address under way: where it stands, what it may use, what it has said so far."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2

from webapp.upstream.discovery import Discovery
from webapp.upstream.egress import Allowance, Egress
from webapp.upstream.exchange import Exchange
from webapp.upstream.findings import (
    Credentials,
    Finding,
    Kind,
    Report,
    State,
    Step,
    Switch,
    Verdict,
    Wanted,
)
from webapp.upstream.refusals import without

# Shorter ones are common words, and no secrets.
SHORTEST_SECRET = 6
TEXTS = ("text", "why", "next_step", "seen", "suggestion")


@dataclass(frozen=True)
class Known:
    """What an admin or an earlier sign-in has settled. `issuer` is where we are signed in now."""

    issuer: str = ""
    pkce_unannounced: bool = False
    old_endpoints: bool = False


@dataclass
class Visit:
    """`url` changes when the server has moved. `headers` are credentials to try. `seconds` bound each step.

    `reached` is what is already certain, should the time run out. `way_out` is a URL to try instead.
    """

    url: str
    egress: Egress
    http: httpx2.AsyncClient
    headers: dict[str, str]
    seconds: float
    report: Report
    known: Known = field(default_factory=Known)
    findings: list[Finding] = field(default_factory=list)
    reached: Verdict | None = None
    been_at: set[str] = field(default_factory=set)
    way_out: str = ""
    credentials: Credentials = ""
    demanded: str = ""

    @property
    def discovery(self) -> Discovery:
        return Discovery(self.egress, self.http, seconds=self.seconds, preferred=self.known.issuer)

    def exchange(self) -> Exchange:
        return Exchange(self.url, self.http, self.headers)

    def add(self, finding: Finding) -> None:
        finding = self._without_secrets(finding)
        self.findings.append(finding)
        self.report(finding)

    def say(
        self,
        step: Step,
        state: State,
        text: str,
        *,
        why: str = "",
        next_step: str = "",
        seen: str = "",
        suggestion: str = "",
        switch: Switch = "",
    ) -> None:
        self.add(Finding(step, state, text, why, next_step, seen, suggestion, switch))

    def verdict(self, kind: Kind, wanted: Wanted | None = None, *, offer: Allowance | None = None) -> Verdict:
        wanted = wanted or Wanted("unknown")
        return Verdict(kind, wanted.sign_in, self.url, oauth=wanted.oauth, offer=offer or wanted.offer)

    def _without_secrets(self, finding: Finding) -> Finding:
        """Some servers repeat the token they refuse."""
        secrets = _secrets(self.headers)
        texts: dict[str, Any] = {name: without(secrets, getattr(finding, name)) for name in TEXTS}
        return replace(finding, **texts)


def _secrets(headers: Mapping[str, str]) -> list[str]:
    """Whole values and each word of them, a Basic password too; the longest first, as one may hold another."""
    found = {part for value in headers.values() for part in (value, *value.split())}
    for value in headers.values():
        scheme, _, rest = value.partition(" ")
        if scheme.lower() == "basic":
            found |= set(_decoded(rest).partition(":")[::2])
    known = {one for one in found if len(one) >= SHORTEST_SECRET and one.lower() not in ("bearer", "apikey")}
    return sorted(known, key=len, reverse=True)


def _decoded(basic: str) -> str:
    try:
        return b64decode(basic).decode("utf-8", "replace")
    except ValueError:
        return ""
