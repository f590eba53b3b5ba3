"""check_website: whether a public address answers, how fast, where it leads, how it protects visitors."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx2

from webapp.builtin.network.names import why_not
from webapp.builtin.network.security_headers import Finding, judge
from webapp.builtin.results import failed, printable, said
from webapp.builtin.tool import BuiltinTool, Context
from webapp.errors import EgressDenied, Refused, UpstreamError
from webapp.upstream.egress import explain

MOST_REDIRECTS = 5
LONGEST_URL = 2_000
# The body is never read, so its size is no reason to refuse an answer.
ANY_SIZE = 1 << 60
_REDIRECTS = {301, 302, 303, 307, 308}
_FACTS = ("content-type", "server", "cache-control")

DEFINITION: dict[str, Any] = {
    "name": "check_website",
    "title": "Check a website",
    "description": (
        "Checks whether a public website answers: status, time, every redirect on the way (at most 5) and "
        "the security headers of the last answer. The content of the page is not returned. Only https:// "
        "addresses on the public internet are checked."
    ),
    "inputSchema": {
        "type": "object",
        "properties": {
            "url": {
                "type": "string",
                "minLength": 1,
                "maxLength": LONGEST_URL,
                "description": "Such as https://www.example.com/login; https:// may be left out.",
            },
            "method": {
                "enum": ["GET", "HEAD"],
                "default": "GET",
                "description": "GET is what a browser does; HEAD asks for the headers only.",
            },
        },
        "required": ["url"],
        "additionalProperties": False,
    },
    "outputSchema": {
        "type": "object",
        "properties": {
            "url": {"type": "string", "description": "The address that gave the last answer."},
            "status": {"type": "integer"},
            "meaning": {"type": "string"},
            "milliseconds": {
                "type": "integer",
                "description": "Until the last answer began, redirects included.",
            },
            "redirects": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "url": {"type": "string"},
                        "status": {"type": "integer"},
                        "milliseconds": {"type": "integer"},
                    },
                    "required": ["url", "status", "milliseconds"],
                },
            },
            "headers": {"type": "object", "additionalProperties": {"type": "string"}},
            "security_headers": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "header": {"type": "string"},
                        "ok": {"type": "boolean"},
                        "value": {"type": "string"},
                        "explanation": {"type": "string"},
                    },
                    "required": ["header", "ok", "explanation"],
                },
            },
        },
        "required": ["url", "status", "meaning", "milliseconds", "redirects", "security_headers"],
    },
    "annotations": {"readOnlyHint": True, "openWorldHint": True},
}


@dataclass(frozen=True)
class Hop:
    """One answer on the way."""

    url: str
    status: int
    milliseconds: int
    headers: httpx2.Headers = field(repr=False)

    @property
    def target(self) -> str:
        """Where it redirects to, empty where it doesn't. Raises httpx2.InvalidURL."""
        if self.status not in _REDIRECTS or not self.headers.get("location"):
            return ""
        return str(httpx2.URL(self.url).join(self.headers["location"]).copy_with(fragment=None))

    def as_json(self) -> dict[str, Any]:
        return {"url": printable(self.url), "status": self.status, "milliseconds": self.milliseconds}


async def check(arguments: dict[str, Any], context: Context) -> dict[str, Any]:
    url, hops = _complete(arguments["url"]), list[Hop]()
    async with context.egress.http(max_bytes=ANY_SIZE, total_seconds=context.seconds) as http:
        while url and len(hops) <= MOST_REDIRECTS:
            try:
                hops.append(await _visit(http, arguments.get("method", "GET"), url))
                url = hops[-1].target
            except (httpx2.HTTPError, httpx2.InvalidURL, Refused, OSError) as error:
                return failed(_stopped(hops, explain(error, url), url))
    if url:
        way = "\n".join(_way(hops))
        return failed(f"It redirects more than {MOST_REDIRECTS} times; browsers give up on a loop.\n{way}")
    return _told(hops)


async def _visit(http: httpx2.AsyncClient, method: str, url: str) -> Hop:
    """The body stays unread: leaving the block closes the connection."""
    begun = time.monotonic()
    async with http.stream(method, url) as response:
        took = round((time.monotonic() - begun) * 1000)
        return Hop(url, response.status_code, took, response.headers)


def _complete(text: str) -> str:
    url = text.strip()
    return url if "://" in url else f"https://{url}"


def _stopped(hops: list[Hop], error: UpstreamError, url: str) -> str:
    """A redirect to a place inside a network reads like one to a name that does not exist.

    Otherwise whoever controls a public server could ask through it what there is in ours.
    """
    if not hops:
        return why_not(error, _host(url))
    if isinstance(error, EgressDenied) or getattr(error, "kind", "") == "dns":
        reason = "That address is not checked: only https:// addresses on the public internet are."
    else:
        reason = why_not(error, _host(url))
    return "\n".join([*_way(hops), f"The last of them redirects on. {reason}"])


def _host(url: str) -> str:
    try:
        return printable(httpx2.URL(url).host, 253)
    except httpx2.InvalidURL:
        return "The address"


def _way(hops: list[Hop]) -> list[str]:
    return [f"{hop.status} {printable(hop.url)} ({hop.milliseconds} ms)" for hop in hops]


def _told(hops: list[Hop]) -> dict[str, Any]:
    last = hops[-1]
    findings = judge(last.headers, encrypted=last.url.startswith("https://"))
    total = sum(hop.milliseconds for hop in hops)
    meaning = _meaning(last.status)
    lines = [f"{printable(last.url)} answered {last.status} ({meaning}) after {total} ms."]
    if len(hops) > 1:
        lines += ["The way there:", *_way(hops)]
    lines += ["Security headers:", *(_line(finding) for finding in findings)]
    structured = {
        "url": printable(last.url),
        "status": last.status,
        "meaning": meaning,
        "milliseconds": total,
        "redirects": [hop.as_json() for hop in hops[:-1]],
        "headers": {name: printable(last.headers[name]) for name in _FACTS if name in last.headers},
        "security_headers": [finding.as_json() for finding in findings],
    }
    return said("\n".join(lines), structured)


def _line(finding: Finding) -> str:
    if finding.ok:
        return f"- {finding.header}: present ({finding.value})"
    return f"- {finding.header}: {'weak' if finding.value else 'missing'}. {finding.explanation}"


def _meaning(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no known meaning"


TOOL = BuiltinTool(DEFINITION, check)
