"""One check of one address under way: where it stands, what it may use, what it has said so far."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx2

from webapp.upstream.discovery import Discovery
from webapp.upstream.egress import Allowance, Egress
from webapp.upstream.exchange import Exchange
from webapp.upstream.findings import Finding, Kind, Report, State, Step, Verdict, Wanted


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
    findings: list[Finding] = field(default_factory=list)
    reached: Verdict | None = None
    been_at: set[str] = field(default_factory=set)
    way_out: str = ""

    @property
    def discovery(self) -> Discovery:
        return Discovery(self.egress, self.http, seconds=self.seconds)

    def exchange(self) -> Exchange:
        return Exchange(self.url, self.http, self.headers)

    def add(self, finding: Finding) -> None:
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
