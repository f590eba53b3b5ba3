"""A check line by line, for the page, and as plain text that is fit to be sent to a vendor's support."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from webapp.services.times import absolute
from webapp.services.visible import told
from webapp.upstream.exchange import shown_url
from webapp.upstream.findings import Finding, State, Step

STEPS: dict[Step, str] = {
    "address": "Address",
    "tls": "Encryption",
    "protocol": "MCP",
    "server": "Server",
    "sign_in": "Sign-in",
    "resource_metadata": "Resource metadata",
    "service_metadata": "Sign-in service",
    "registration": "Registration",
    "return_address": "Return address",
    "token": "Token",
    "tools": "Tools",
}
WORDS = {"ok": "fine", "info": "info", "note": "NOTE", "problem": "PROBLEM"}
_WORST_FIRST: tuple[State, ...] = ("problem", "note", "ok", "info")


@dataclass(frozen=True)
class Line:
    """One step of the way. `state` is that of its worst finding, empty where there is none."""

    step: Step
    word: str
    state: State | Literal[""]
    findings: tuple[Finding, ...]


def lines(findings: Iterable[Finding]) -> list[Line]:
    """All steps in order, those without a finding too."""
    found = list(findings)
    return [_line_of(step, tuple(one for one in found if one.step == step)) for step in STEPS]


def _line_of(step: Step, findings: tuple[Finding, ...]) -> Line:
    states = {finding.state for finding in findings}
    return Line(step, STEPS[step], next((state for state in _WORST_FIRST if state in states), ""), findings)


def as_text(url: str, checked_at: datetime | None, findings: Iterable[Finding]) -> str:
    head = [
        "Gatehouse: check of an MCP server",
        f"Server: {_line(shown_url(url))}",
        f"Checked: {absolute(checked_at)}",
    ]
    return "\n".join([*head, *(_paragraph(finding) for finding in findings)])


def _paragraph(finding: Finding) -> str:
    lines = [f"\n[{WORDS[finding.state]}] {STEPS[finding.step]}: {_line(finding.text)}"]
    if finding.why:
        lines.append(f"  Why: {_line(finding.why)}")
    if finding.next_step:
        lines.append(f"  Next: {_line(finding.next_step)}")
    lines += [f"  Seen: {_line(seen)}" for seen in finding.seen.splitlines() if seen]
    return "\n".join(lines)


def _line(text: str) -> str:
    """One line, whatever a server put into it; hidden characters by their names."""
    return told(" ".join(text.split()))
