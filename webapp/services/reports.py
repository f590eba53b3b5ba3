"""A check as plain text, fit to send to a vendor's support: what was seen, cause and next step, nothing secret."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from webapp.services.times import absolute
from webapp.services.visible import reveal
from webapp.upstream.findings import Finding, Step

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


def as_text(url: str, checked_at: datetime | None, findings: Iterable[Finding]) -> str:
    head = ["Gatehouse: check of an MCP server", f"Server: {_line(url)}", f"Checked: {absolute(checked_at)}"]
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
    return "".join(piece for piece, _ in reveal(" ".join(text.split())))
