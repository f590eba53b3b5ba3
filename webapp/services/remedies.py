"""Ways out of what a check found: which of them fit the first problem, best first."""

from __future__ import annotations

from collections.abc import Iterable

from webapp.upstream.findings import Finding, Step

# What a person can do: address, token, header, sign_in, reconnect, replace, client, advanced, old_addresses.
# The pages know where each of them is done.
_FITTING: dict[Step, tuple[str, ...]] = {
    "address": ("address",),
    "tls": ("address",),
    "protocol": ("address", "token", "header"),
    "server": ("address",),
    "sign_in": ("header", "token", "address"),
    "resource_metadata": ("token", "header", "old_addresses", "advanced", "address"),
    "service_metadata": ("token", "header", "client", "advanced"),
    "registration": ("client", "advanced", "token"),
    "return_address": ("sign_in", "token"),
    "token": ("sign_in", "token", "header"),
    "tools": ("token",),
}
_OF_DRAFTS = ("address",)


def fitting(findings: Iterable[Finding], kind: str, *, draft: bool) -> tuple[str, ...]:
    """`kind` is that of the connection, empty where there is none."""
    worst = _worst(list(findings))
    if worst is None:
        return ()
    ways = [way for way in _FITTING[worst.step] if draft or way not in _OF_DRAFTS]
    if worst.step == "token" and kind:
        ways = ["reconnect", "token"] if kind == "oauth" else ["replace", "sign_in"]
    return tuple(ways)


def _worst(findings: list[Finding]) -> Finding | None:
    problems = [finding for finding in findings if finding.state == "problem"]
    if problems:
        return problems[0]
    wanted = [finding for finding in findings if finding.step == "registration" and finding.state == "note"]
    return wanted[0] if wanted else None
