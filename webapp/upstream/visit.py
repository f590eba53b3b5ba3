"""One check of one address under way: where it stands, what it may use, what it has said so far."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

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
    Verdict,
    Wanted,
)

# Shorter ones are common words, and no secrets.
SHORTEST_SECRET = 6


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
    ) -> None:
        self.add(Finding(step, state, text, why, next_step, seen, suggestion))

    def verdict(self, kind: Kind, wanted: Wanted | None = None, *, offer: Allowance | None = None) -> Verdict:
        wanted = wanted or Wanted("unknown")
        return Verdict(kind, wanted.sign_in, self.url, oauth=wanted.oauth, offer=offer or wanted.offer)

    def _without_secrets(self, finding: Finding) -> Finding:
        """Some servers repeat the token they refuse."""
        secrets = {part for value in self.headers.values() for part in value.split()}
        texts = {name: getattr(finding, name) for name in ("text", "why", "next_step", "seen", "suggestion")}
        for secret in secrets:
            if len(secret) >= SHORTEST_SECRET and secret.lower() not in ("bearer", "apikey"):
                texts = {name: text.replace(secret, "•••") for name, text in texts.items()}
        return replace(finding, **texts)
