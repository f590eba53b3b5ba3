"""What a website tells browsers to protect its visitors, header by header."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import httpx2

from webapp.builtin.results import printable

LEAST_HSTS_SECONDS = 180 * 24 * 3600


@dataclass(frozen=True)
class Finding:
    header: str
    ok: bool
    value: str
    explanation: str

    def as_json(self) -> dict[str, Any]:
        return {"header": self.header, "ok": self.ok, "value": self.value, "explanation": self.explanation}


_WANTED = {
    "Content-Security-Policy": "limits which scripts may run in the page",
    "X-Content-Type-Options": "stops browsers from guessing the kind of a file",
    "Referrer-Policy": "limits what other sites learn about where a visitor came from",
    "Permissions-Policy": "limits the use of camera, microphone and place",
}


def judge(headers: httpx2.Headers, *, encrypted: bool) -> list[Finding]:
    findings = [_hsts(headers.get("strict-transport-security", ""))] if encrypted else []
    findings.append(_frames(headers))
    for name, purpose in _WANTED.items():
        value = headers.get(name, "")
        there = value.strip().lower() == "nosniff" if name == "X-Content-Type-Options" else bool(value)
        findings.append(Finding(name, there, printable(value), f"It {purpose}."))
    return findings


def _hsts(value: str) -> Finding:
    name = "Strict-Transport-Security"
    age = re.search(r'max-age\s*=\s*"?(\d{1,12})', value, re.IGNORECASE)
    if age and int(age[1]) >= LEAST_HSTS_SECONDS:
        return Finding(name, True, printable(value), "It makes browsers always use https.")
    explanation = "It makes browsers always use https; here it is missing."
    if value:
        explanation = "It makes browsers always use https, but here for less than half a year."
    return Finding(name, False, printable(value), explanation)


def _frames(headers: httpx2.Headers) -> Finding:
    """`frame-ancestors` replaces X-Frame-Options (CSP level 2)."""
    value = headers.get("x-frame-options", "")
    if "frame-ancestors" in headers.get("content-security-policy", "").lower():
        value = value or "frame-ancestors in Content-Security-Policy"
    return Finding(
        "X-Frame-Options",
        bool(value),
        printable(value),
        "It stops other sites from showing the page inside theirs.",
    )
