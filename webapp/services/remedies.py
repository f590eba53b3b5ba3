"""Ways out of what a check found: which of them fit, best first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from webapp.upstream.findings import Finding, State, Step, Switch

# The pages know where each of them is done. `elsewhere`: connect it once more, at another address.
Way = Literal[
    "address", "elsewhere", "grant", "reconnect", "sign_in", "token", "header", "replace", "client",
    "old_addresses", "pkce", "advanced",
]  # fmt: skip
WAYS: tuple[Way, ...] = get_args(Way)
MOST = 5

_FITTING: dict[Step, tuple[Way, ...]] = {
    "address": ("address", "elsewhere"),
    "tls": ("address", "elsewhere"),
    "protocol": ("address", "elsewhere", "token", "header"),
    "server": ("address", "elsewhere"),
    "sign_in": ("header", "token", "address", "elsewhere"),
    "resource_metadata": ("token", "header", "address", "elsewhere"),
    "service_metadata": ("token", "header", "address", "elsewhere"),
    "registration": ("client", "advanced", "token"),
    "return_address": ("sign_in", "client", "token"),
    "token": ("sign_in", "token", "header"),
    "tools": ("token", "header", "address", "elsewhere"),
}
_OF_SWITCHES: dict[Switch, Way] = {"pkce_unannounced": "pkce", "old_endpoints": "old_addresses"}
_OF_SIGN_INS: tuple[Step, ...] = (
    "sign_in", "resource_metadata", "service_metadata", "registration", "return_address", "token",
)  # fmt: skip
# What a new sign-in puts right, though all still works.
_NEW_SIGN_IN: tuple[Step, ...] = ("resource_metadata", "service_metadata", "registration", "token")


def fitting(
    findings: Iterable[Finding], kind: str, *, draft: bool, more_wanted: bool = False
) -> tuple[Way, ...]:
    """`kind` is that of the connection, empty where there is none; `more_wanted` means more access."""
    found = list(findings)
    problems = _steps(found, "problem")
    steps = problems or [step for step in _steps(found, "note") if step == "registration"]
    ways: list[Way] = ["grant"] if more_wanted else []
    if kind == "oauth" and (
        set(problems) & set(_OF_SIGN_INS) or set(_steps(found, "note")) & set(_NEW_SIGN_IN)
    ):
        ways.append("reconnect")
    elif kind not in ("", "none", "oauth") and set(problems) & {"sign_in", "token"}:
        ways.append("replace")
    ways += _switches(found, "problem")
    ways += [way for step in steps for way in _FITTING[step]]
    if kind == "oauth" and not problems and "token" in _steps(found, "note"):
        ways.append("advanced")
    ways += _switches(found, "note") + _switches(found, "info")
    in_browser = any(finding.step == "return_address" for finding in found)
    return _told_apart(ways, draft=draft, in_browser=in_browser)


def _switches(findings: list[Finding], state: State) -> list[Way]:
    return [_OF_SWITCHES[finding.switch] for finding in findings if finding.switch and finding.state == state]


def _told_apart(ways: list[Way], *, draft: bool, in_browser: bool) -> tuple[Way, ...]:
    """Each once; none that means the same as another, or can't be gone here."""
    left_out = {"elsewhere" if draft else "address"}
    if "reconnect" in ways or not in_browser:
        left_out.add("sign_in")
    if "reconnect" in ways:
        left_out.add("header")
    if "replace" in ways:
        left_out |= {"token", "header"}
    return tuple(way for way in dict.fromkeys(ways) if way not in left_out)[:MOST]


def _steps(findings: list[Finding], state: State) -> list[Step]:
    return list(dict.fromkeys(finding.step for finding in findings if finding.state == state))
