"""The probe: every kind of server gets its own verdict and sentence, and nobody leads it astray."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.upstream import certificates as c
from tests.upstream import zoo as z
from tests.upstream.loopback import raw, serving, shaking_hands
from tests.upstream.test_client import sdk_server
from webapp.upstream.client import MODERN
from webapp.upstream.egress import Allowance, Egress
from webapp.upstream.probe import Finding, Verdict, probe


@dataclass(frozen=True)
class Row:
    """One row of the decision table; `says` are pieces of the findings, `path` is what the admin typed."""

    kind: str
    sign_in: str = "unknown"
    says: tuple[str, ...] = ()
    path: str = "/mcp"
    final: str = "/mcp"
    suggestion: str = ""
    expected: dict[str, Any] = field(default_factory=dict)


def look(build: Callable[[z.Zoo], object], path: str = "/mcp", **settings: Any) -> Verdict:
    """`build` puts the animals into their cages, and the verdict on the one at `path` comes back."""

    async def run() -> Verdict:
        async with asyncio.timeout(90), z.opened() as zoo:
            build(zoo)
            settings.setdefault("step_seconds", 3)
            return _with_paths(await probe(zoo.url(path), zoo.egress(), **settings), zoo)

    return asyncio.run(run())


def _with_paths(verdict: Verdict, zoo: z.Zoo) -> Verdict:
    """The zoo's port is another one each time."""
    place = zoo.origin
    findings = tuple(
        replace(finding, **{key: _short(value, place) for key, value in vars(finding).items()})
        for finding in verdict.findings
    )
    oauth = {key: _short(value, place) for key, value in verdict.oauth.items()}
    return replace(verdict, url=verdict.url.replace(place, ""), oauth=oauth, findings=findings)


def _short(value: Any, place: str) -> Any:
    return value.replace(place, "") if isinstance(value, str) else value


def told(verdict: Verdict) -> str:
    return "\n".join(
        " | ".join((f.step, f.state, f.text, f.why, f.next_step, f.seen)) for f in verdict.findings
    )


def problems(verdict: Verdict) -> list[Finding]:
    return [finding for finding in verdict.findings if finding.state == "problem"]


# Sign-in services for the table


def service(zoo: z.Zoo, path: str = "/login", **changes: Any) -> str:
    """A sign-in service in good order, except for `changes`; its issuer."""
    issuer = zoo.origin + path
    document: dict[str, Any] = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "registration_endpoint": f"{issuer}/register",
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["everything"],
    }
    document |= changes
    present = {key: value for key, value in document.items() if value is not None}
    zoo.publish(f"/.well-known/oauth-authorization-server{path}", present)
    return issuer


def describe(zoo: z.Zoo, at: str = "/.well-known/oauth-protected-resource/mcp", **changes: Any) -> None:
    """What a server publishes about its sign-in (RFC 9728)."""
    document = {"resource": zoo.url("/mcp"), "authorization_servers": [zoo.url("/login")]}
    zoo.publish(at, document | changes)


def named(zoo: z.Zoo, path: str = "/.well-known/oauth-protected-resource/mcp") -> str:
    return f'Bearer resource_metadata="{zoo.url(path)}", scope="read write"'


# The decision table

Build = Callable[[z.Zoo], object]
TABLE: dict[str, tuple[Build, Row]] = {}


def row(name: str, *args: Any, **kwargs: Any) -> Callable[[Build], Build]:
    def enter(build: Build) -> Build:
        TABLE[name] = (build, Row(*args, **kwargs))
        return build

    return enter


@row(
    "modern and open",
    "modern",
    "none",
    says=(f"version {MODERN}", "“The Menagerie”, version 7.1", "one tool", "No sign-in"),
)
def _(zoo: z.Zoo) -> None:
    zoo.put(z.modern())


@row("legacy and open", "legacy", "none", says=("version 2025-06-18", "“The Menagerie”", "No sign-in"))
def _(zoo: z.Zoo) -> None:
    zoo.put(z.legacy(sessions=True))


@row("legacy that answers the modern question with 500", "legacy", "none")
def _(zoo: z.Zoo) -> None:
    server = z.legacy()

    async def shocked(ask: z.Ask) -> z.Answer | None:
        return z.Answer(500) if ask.rpc == "server/discover" else await server(ask)

    zoo.put(shocked)


@row("legacy that says 405 to the modern question", "legacy", "none")
def _(zoo: z.Zoo) -> None:
    server = z.legacy()

    async def surly(ask: z.Ask) -> z.Answer | None:
        return z.Answer(405) if ask.rpc == "server/discover" else await server(ask)

    zoo.put(surly)


@row("both eras named in an error", "legacy", "none")
def _(zoo: z.Zoo) -> None:
    server = z.legacy()

    async def naming(ask: z.Ask) -> z.Answer | None:
        if ask.rpc == "server/discover":
            return z.error(ask, -32022, "Unsupported", {"supported": ["2025-06-18"]}, 400)
        return await server(ask)

    zoo.put(naming)


@row("only versions of the future", "not_mcp", says=("does not know: 2031-01-01", "newer Gatehouse"))
def _(zoo: z.Zoo) -> None:
    async def future(ask: z.Ask) -> z.Answer:
        return z.error(ask, -32022, "Unsupported", {"supported": ["2031-01-01"]}, 400)

    zoo.put(future)


@row("handshake in an unknown version", "not_mcp", says=("1999-01-01",))
def _(zoo: z.Zoo) -> None:
    zoo.put(z.legacy(version="1999-01-01"))


@row("error at the handshake", "not_mcp", says=("would not begin: No licence", "initialize → error -32001"))
def _(zoo: z.Zoo) -> None:
    async def refusing(ask: z.Ask) -> z.Answer:
        return z.error(ask, -32001, "No licence")

    zoo.put(refusing)


OAUTH = {"issuer": "/login", "resource": "/mcp", "scope": "read write", "registration": "dcr", "pkce": True}
AT_LOGIN = (
    "resource_metadata | ok | The server says where to sign in",
    "service_metadata | ok | You sign in at zoo.test (OAuth)",
    "registration_endpoint: /login/register",
)
SAYS_NOTHING = "resource_metadata | info | The server publishes no resource metadata"


@row("OAuth named in the challenge", "modern", "oauth", says=AT_LOGIN, expected=OAUTH)
def _(zoo: z.Zoo) -> None:
    service(zoo)
    describe(zoo, "/somewhere/metadata")
    zoo.put(z.guarded(z.modern(), named(zoo, "/somewhere/metadata")))


@row("OAuth with 403 and a challenge", "modern", "oauth", says=AT_LOGIN, expected=OAUTH)
def _(zoo: z.Zoo) -> None:
    service(zoo)
    describe(zoo)
    zoo.put(z.guarded(z.modern(), named(zoo), status=403))


@row("OAuth at the well-known path", "modern", "oauth", says=AT_LOGIN, expected={**OAUTH, "scope": ""})
def _(zoo: z.Zoo) -> None:
    service(zoo)
    describe(zoo)
    zoo.put(z.guarded(z.modern()))


@row(
    "OAuth at the well-known root",
    "modern",
    "oauth",
    says=AT_LOGIN,
    expected={"scope": "a b", "resource": ""},
)
def _(zoo: z.Zoo) -> None:
    service(zoo)
    describe(zoo, "/.well-known/oauth-protected-resource", resource=zoo.origin, scopes_supported=["a", "b"])
    zoo.put(z.guarded(z.modern(), "Bearer"))


@row("OAuth behind a moved document", "modern", "oauth", says=AT_LOGIN)
def _(zoo: z.Zoo) -> None:
    service(zoo)
    zoo.put(
        z.redirect("/.well-known/oauth-protected-resource/mcp/", 301),
        "/.well-known/oauth-protected-resource/mcp",
    )
    describe(zoo, "/.well-known/oauth-protected-resource/mcp/")
    zoo.put(z.guarded(z.legacy()))


@row("OAuth through OpenID metadata", "modern", "oauth", says=AT_LOGIN)
def _(zoo: z.Zoo) -> None:
    service(zoo)
    zoo.animals["/login/.well-known/openid-configuration"] = zoo.animals.pop(
        "/.well-known/oauth-authorization-server/login"
    )
    describe(zoo)
    zoo.put(z.guarded(z.modern()))


@row(
    "OAuth of 2025-03-26",
    "modern",
    "oauth",
    says=(
        SAYS_NOTHING,
        "GET /.well-known/oauth-protected-resource/mcp → 404 Not Found\n"
        "GET /.well-known/oauth-protected-resource → 404 Not Found",
        "You sign in at zoo.test (OAuth)",
    ),
    expected={"announced": False, "resource": "/mcp"},
)
def _(zoo: z.Zoo) -> None:
    service(zoo, "")
    zoo.put(z.guarded(z.legacy(version="2025-03-26")))


@row(
    "OAuth with a client document",
    "modern",
    "oauth",
    says=("client_id_metadata_document_supported: yes",),
    expected={"registration": "cimd", "dcr": True},
)
def _(zoo: z.Zoo) -> None:
    service(zoo, client_id_metadata_document_supported=True)
    describe(zoo)
    zoo.put(z.guarded(z.modern()))


@row(
    "OAuth without registration",
    "modern",
    "oauth",
    says=("registration_endpoint: no",),
    expected={"registration": "manual"},
)
def _(zoo: z.Zoo) -> None:
    service(zoo, registration_endpoint=None)
    describe(zoo)
    zoo.put(z.guarded(z.modern()))


@row(
    "OAuth silent on PKCE",
    "modern",
    "oauth",
    says=(
        "service_metadata | problem | The sign-in service does not offer PKCE (S256), or does not say so.",
        "say so under Advanced, or use an API token instead",
        "code_challenge_methods_supported: not said",
    ),
    expected={"pkce": False},
)
def _(zoo: z.Zoo) -> None:
    service(zoo, code_challenge_methods_supported=None)
    describe(zoo)
    zoo.put(z.guarded(z.modern()))


@row(
    "OAuth without S256",
    "modern",
    "oauth",
    says=(
        "service_metadata | problem | The sign-in service does not offer PKCE (S256).",
        "use an API token instead",
        "code_challenge_methods_supported: plain",
    ),
    expected={"pkce": False},
)
def _(zoo: z.Zoo) -> None:
    service(zoo, code_challenge_methods_supported=["plain"])
    describe(zoo)
    zoo.put(z.guarded(z.modern()))


@row(
    "OAuth with a sign-in page on http",
    "modern",
    "oauth",
    says=(
        "service_metadata | problem | The sign-in page http://93.184.216.34/authorize is not encrypted.",
        "could read the password",
        "use a token instead",
    ),
)
def _(zoo: z.Zoo) -> None:
    service(zoo, authorization_endpoint="http://93.184.216.34/authorize")
    describe(zoo)
    zoo.put(z.guarded(z.modern()))


@row(
    "OAuth at the second of two services",
    "modern",
    "oauth",
    says=(*AT_LOGIN, "service_metadata | note | The server names /gone", "/gone → 404 Not Found"),
    expected={"issuer": "/login"},
)
def _(zoo: z.Zoo) -> None:
    service(zoo)
    describe(zoo, authorization_servers=[zoo.url("/gone"), zoo.url("/login")])
    zoo.put(z.guarded(z.modern()))


@row(
    "OAuth whose service is silent",
    "modern",
    "oauth",
    says=(
        "service_metadata | problem | The server names /login for its sign-in, which does not describe itself",
        "use a token",
        "GET /.well-known/oauth-authorization-server/login → 404 Not Found\n"
        "GET /.well-known/openid-configuration/login → 404 Not Found\n"
        "GET /login/.well-known/openid-configuration → 404 Not Found",
    ),
)
def _(zoo: z.Zoo) -> None:
    describe(zoo)
    zoo.put(z.guarded(z.modern()))


@row(
    "OAuth whose named document is missing",
    "modern",
    "oauth",
    says=(
        "resource_metadata | problem | The server names /nowhere for its sign-in, but nothing can be read",
        "GET /nowhere → 404 Not Found\nGET /.well-known/oauth-protected-resource/mcp → 404 Not Found",
    ),
)
def _(zoo: z.Zoo) -> None:
    zoo.put(z.guarded(z.modern(), named(zoo, "/nowhere")))


@row(
    "OAuth about another server",
    "modern",
    "oauth",
    says=(
        "resource_metadata | problem | The server's sign-in data is about another server: "
        "https://bank.example/mcp",
        "must not be shown to this one",
        "resource: https://bank.example/mcp\nauthorization_servers: /login",
        "service_metadata | info | The sign-in service at zoo.test is in order, but",
    ),
)
def _(zoo: z.Zoo) -> None:
    service(zoo)
    describe(zoo, resource="https://bank.example/mcp")
    zoo.put(z.guarded(z.modern(), named(zoo)))


@row(
    "OAuth with a service under another name",
    "modern",
    "oauth",
    says=("service_metadata | problem | The sign-in service at /login calls itself https://bank.example/",),
)
def _(zoo: z.Zoo) -> None:
    service(zoo, issuer="https://bank.example/")
    describe(zoo)
    zoo.put(z.guarded(z.modern()))


@row(
    "OAuth with a script for an address",
    "modern",
    "oauth",
    says=("does not describe itself", "200 OK, but authorization_endpoint is not usable"),
)
def _(zoo: z.Zoo) -> None:
    service(zoo, authorization_endpoint="javascript:alert(1)")
    describe(zoo)
    zoo.put(z.guarded(z.modern()))


@row("OAuth service in trouble", "modern", "oauth", says=("answered 503 when asked how to sign in", "later"))
def _(zoo: z.Zoo) -> None:
    zoo.put(z.always(z.Answer(503)), "/.well-known/oauth-protected-resource/mcp")
    zoo.put(z.guarded(z.modern(), named(zoo)))


@row("token wanted, nothing published", "modern", "bearer", says=("wants a token", "Paste a token"))
def _(zoo: z.Zoo) -> None:
    zoo.put(z.guarded(z.modern(), "Bearer"))


@row("token wanted without a challenge", "modern", "bearer", says=("wants a token",))
def _(zoo: z.Zoo) -> None:
    zoo.put(z.guarded(z.legacy()))


@row("documents of another server on the same host", "modern", "bearer", says=("wants a token",))
def _(zoo: z.Zoo) -> None:
    service(zoo)
    describe(zoo, "/.well-known/oauth-protected-resource", resource=zoo.url("/neighbour"))
    zoo.put(z.guarded(z.modern(), "Bearer"))


@row("name and password", "modern", "basic", says=("a user name and a password",))
def _(zoo: z.Zoo) -> None:
    zoo.put(z.guarded(z.modern(), 'Basic realm="x, Bearer-like"'))


@row(
    "open list, calls want OAuth",
    "modern",
    "oauth_late",
    says=("calls need a sign-in", *AT_LOGIN),
    expected=OAUTH,
)
def _(zoo: z.Zoo) -> None:
    service(zoo)
    describe(zoo)
    zoo.put(z.guarded(z.modern(), named(zoo), methods=("tools/call",)))


@row("open list, calls want a token", "legacy", "calls_only", says=("calls need a sign-in", "wants a token"))
def _(zoo: z.Zoo) -> None:
    zoo.put(z.guarded(z.legacy(), "Bearer", methods=("tools/call",)))


@row("open, but the list wants a token", "legacy", "bearer", says=("version 2025-06-18", "wants a token"))
def _(zoo: z.Zoo) -> None:
    zoo.put(z.guarded(z.legacy(), "Bearer", methods=("tools/list", "tools/call")))


@row(
    "open, but publishes a sign-in",
    "modern",
    "oauth_late",
    says=("offers one; some of its tools may need it", *AT_LOGIN),
)
def _(zoo: z.Zoo) -> None:
    service(zoo)
    describe(zoo)
    zoo.put(z.modern())


@row("blocked", "blocked", says=("refuses us without saying how", "enter it with the header"))
def _(zoo: z.Zoo) -> None:
    zoo.put(z.always(z.Answer(403, b"no")))


@row("blocked by Cloudflare", "blocked", says=("Cloudflare", "takes us for a robot"))
def _(zoo: z.Zoo) -> None:
    zoo.put(z.always(z.Answer(403, b"no", {"server": "cloudflare"})))


@row(
    "event stream of 2024",
    "http_sse",
    says=("deprecated", "Streamable HTTP"),
    path="/sse",
    final="/sse",
    suggestion="/mcp",
)
def _(zoo: z.Zoo) -> None:
    zoo.put(z.old_event_stream, "/sse")


@row("event stream of 2024 under a folder", "http_sse", path="/v1/sse", final="/v1/sse", suggestion="/v1/mcp")
def _(zoo: z.Zoo) -> None:
    zoo.put(z.old_event_stream, "/v1/sse")


@row("event stream of 2024 behind a token", "modern", "bearer", path="/sse", final="/sse")
def _(zoo: z.Zoo) -> None:
    async def animal(ask: z.Ask) -> z.Answer:
        return z.Answer(405 if ask.method == "POST" else 401)

    zoo.put(animal, "/sse")


@row("another event stream", "not_mcp", says=("not one of MCP",))
def _(zoo: z.Zoo) -> None:
    async def ticker(ask: z.Ask) -> z.Answer | None:
        if ask.method == "POST":
            return z.Answer(405)
        await z.begin_stream(ask)
        await ask.write(b"event: price\ndata: 1\n\n")
        return None

    zoo.put(ticker)


@row(
    "web page without a path",
    "not_mcp",
    says=("a web page, not as an MCP server", "under /mcp"),
    path="/",
    final="/",
    suggestion="/mcp",
)
def _(zoo: z.Zoo) -> None:
    zoo.put(z.always(z.page()), "/")


@row(
    "nothing there, without a path",
    "not_mcp",
    says=("nothing at this address",),
    path="/",
    final="/",
    suggestion="/mcp",
)
def _(zoo: z.Zoo) -> None:
    pass


@row("web page in a folder", "not_mcp", path="/docs/start", final="/docs/start", suggestion="/mcp")
def _(zoo: z.Zoo) -> None:
    zoo.put(z.always(z.page()), "/docs/start")


@row("web page at the usual path", "not_mcp", says=("a web page", "Check the path"))
def _(zoo: z.Zoo) -> None:
    zoo.put(z.always(z.page()))


@row("a page that only knows GET", "not_mcp", says=("a web page",))
def _(zoo: z.Zoo) -> None:
    async def site(ask: z.Ask) -> z.Answer:
        return z.page() if ask.method == "GET" else z.Answer(405)

    zoo.put(site)


@row("another API", "not_mcp", says=("answered 200 OK, but not as an MCP server",))
def _(zoo: z.Zoo) -> None:
    zoo.put(z.always(z.as_json({"hello": "world"})))


@row("moved inside the origin, 307", "modern", "none", says=("has moved to /new",), final="/new")
def _(zoo: z.Zoo) -> None:
    zoo.put(z.redirect("/new", 307))
    zoo.put(z.modern(), "/new")


@row("moved by a slash, 308", "legacy", "none", final="/mcp/")
def _(zoo: z.Zoo) -> None:
    zoo.put(z.redirect("/mcp/", 308))
    zoo.put(z.legacy(), "/mcp/")


@row(
    "sent to a web login, 302",
    "not_mcp",
    says=("sends us on to /login", "wants people to sign in"),
    suggestion="/login?next=s3cret",
)
def _(zoo: z.Zoo) -> None:
    zoo.put(z.redirect("/login?next=s3cret", 302))


@row(
    "sent to another host, 307",
    "not_mcp",
    says=("sends us on to https://other.example/mcp",),
    suggestion="https://other.example/mcp",
)
def _(zoo: z.Zoo) -> None:
    zoo.put(z.redirect("https://other.example/mcp", 307))


@row("sent to a file", "not_mcp", says=("sends us on to",))
def _(zoo: z.Zoo) -> None:
    zoo.put(z.redirect("file:///etc/passwd", 307))


@row("sent in a circle", "not_mcp", says=("in a circle",), final="/b")
def _(zoo: z.Zoo) -> None:
    zoo.put(z.redirect("/b", 307))
    zoo.put(z.redirect("/mcp", 307), "/b")


@row("sent to itself", "not_mcp", says=("in a circle",))
def _(zoo: z.Zoo) -> None:
    zoo.put(z.redirect("/mcp", 307))


@row("asked too often", "unreachable", says=("429 Too Many Requests", "Try again later"))
def _(zoo: z.Zoo) -> None:
    zoo.put(z.always(z.Answer(429)))


@row("in trouble", "unreachable", says=("503 Service Unavailable", "Try again later"))
def _(zoo: z.Zoo) -> None:
    zoo.put(z.always(z.Answer(503)))


@row("hangs up", "unreachable", says=("closed the connection",))
def _(zoo: z.Zoo) -> None:
    async def rude(ask: z.Ask) -> z.Answer | None:
        await ask.hang_up()
        return None

    zoo.put(rude)


@row("does not speak HTTP", "not_mcp", says=("not HTTP",))
def _(zoo: z.Zoo) -> None:
    async def mail(ask: z.Ask) -> z.Answer | None:
        await ask.write(b"220 mail.example ESMTP\r\n\r\n")
        return None

    zoo.put(mail)


@row("wrong id", "not_mcp", says=("id of its answer is wrong",))
def _(zoo: z.Zoo) -> None:
    zoo.put(z.always(z.as_json({"jsonrpc": "2.0", "id": 77, "result": {}})))


@row(
    "some tools unusable",
    "modern",
    "none",
    says=("2 tools", "One tool can't be used", "“broken”: It has no input schema"),
)
def _(zoo: z.Zoo) -> None:
    zoo.put(z.modern((z.ECHO, {"name": "broken"}, {**z.ECHO, "name": "other"})))


@row("no tools", "modern", "none", says=("no tools",))
def _(zoo: z.Zoo) -> None:
    zoo.put(z.modern(()))


@row(
    "null for a list",
    "modern",
    "none",
    says=("(null) instead of a list",),
)
def _(zoo: z.Zoo) -> None:
    zoo.put(z.modern(tools_list=_null_list))


async def _null_list(ask: z.Ask) -> z.Answer:
    return z.result(ask, {"tools": None})


@row("the list fails", "legacy", "none", says=("tools | problem", "503 Service Unavailable"))
def _(zoo: z.Zoo) -> None:
    zoo.put(z.legacy(tools_list=z.always(z.Answer(503))))


@pytest.mark.parametrize("name", TABLE)
def test_the_decision_table(name: str) -> None:
    build, row = TABLE[name]
    heard: list[Finding] = []
    verdict = look(build, row.path, report=heard.append)
    assert (verdict.kind, verdict.sign_in, verdict.url) == (row.kind, row.sign_in, row.final), told(verdict)
    for piece in row.says:
        assert piece in told(verdict)
    assert verdict.oauth.items() >= row.expected.items()
    assert [finding.suggestion for finding in verdict.findings if finding.suggestion] == [
        *([row.suggestion] if row.suggestion else [])
    ]
    assert len(heard) == len(verdict.findings)
    assert verdict.usable == (row.kind in ("modern", "legacy"))
    assert "s3cret" not in told(verdict)
    for finding in problems(verdict):
        assert finding.why or finding.next_step


def test_findings_come_in_the_order_of_the_journey_and_while_it_lasts() -> None:
    asked_when_heard: list[tuple[str, int]] = []

    async def run() -> None:
        async with z.opened() as zoo:
            zoo.put(z.modern())
            await probe(
                zoo.url(),
                zoo.egress(),
                report=lambda finding: asked_when_heard.append((finding.step, len(zoo.asked))),
            )

    asyncio.run(run())
    assert [step for step, _ in asked_when_heard] == [
        "address",
        "tls",
        "protocol",
        "server",
        "tools",
        "sign_in",
    ]
    assert [count for _, count in asked_when_heard][:4] == [0, 0, 1, 1]


def test_the_probe_leaves_no_session_behind() -> None:
    async def run() -> list[str]:
        async with z.opened() as zoo:
            zoo.put(z.legacy(sessions=True))
            await probe(zoo.url(), zoo.egress())
            return zoo.rpcs()

    asked = asyncio.run(run())
    assert asked.count("initialize") == asked.count("DELETE") == 1


def test_the_official_sdk_server_is_recognised() -> None:
    async def run() -> Verdict:
        async with sdk_server(stateless=True) as url:
            port = int(url.split(":")[2].split("/")[0])
            return await probe(url, Egress([Allowance("127.0.0.1", port, "127.0.0.0/8", True)]))

    verdict = asyncio.run(run())
    assert (verdict.kind, verdict.sign_in, verdict.version, verdict.tool_count) == (
        "modern",
        "none",
        MODERN,
        2,
    )


# With credentials

TOKEN = {"Authorization": "Bearer right"}
CREDENTIALS = ("authorization", "Bearer right")


@pytest.mark.parametrize("server", [z.modern, z.legacy])
@pytest.mark.parametrize("methods", [(), ("tools/list",), ("tools/call",)])
def test_a_token_that_opens_the_door_is_said_to_work(
    server: Callable[[], z.Animal], methods: tuple[str, ...]
) -> None:
    animal = z.guarded(server(), "Bearer", methods=methods, credentials=CREDENTIALS)
    verdict = look(lambda zoo: zoo.put(animal), headers=TOKEN)
    assert (verdict.usable, verdict.sign_in, verdict.tool_count) == (True, "bearer", 1)
    assert "The credentials work" in told(verdict)
    assert problems(verdict) == []


@pytest.mark.parametrize("methods", [(), ("tools/list",), ("tools/call",)])
def test_a_token_that_does_not_open_the_door_is_named_as_the_problem(methods: tuple[str, ...]) -> None:
    animal = z.guarded(z.modern(), "Bearer", methods=methods, credentials=CREDENTIALS)
    verdict = look(lambda zoo: zoo.put(animal), headers={"Authorization": "Bearer wrong-s3cret"})
    assert verdict.sign_in == "bearer"
    assert [finding.text for finding in problems(verdict)] == [
        "The server does not accept these credentials."
    ]
    assert "wrong-s3cret" not in repr(verdict)


def test_a_server_that_looks_at_no_token_is_said_to_do_so() -> None:
    verdict = look(lambda zoo: zoo.put(z.modern()), headers=TOKEN)
    assert verdict.sign_in == "none"
    assert "the same with and without these credentials" in told(verdict)


def test_a_key_in_a_header_of_its_own_and_a_password_are_tried_too() -> None:
    key = z.guarded(z.modern(), status=403, credentials=("x-api-key", "k"))
    assert look(lambda zoo: zoo.put(key), headers={"X-Api-Key": "k"}).sign_in == "bearer"
    assert look(lambda zoo: zoo.put(key)).kind == "blocked"
    basic = z.guarded(z.modern(), "Basic", credentials=("authorization", "Basic dTpw"))
    assert look(lambda zoo: zoo.put(basic), headers={"Authorization": "Basic dTpw"}).sign_in == "basic"


def test_a_token_is_shown_to_nobody_but_the_server() -> None:
    async def run() -> list[z.Ask]:
        async with z.opened() as zoo, z.opened() as other:
            describe(zoo)
            service(zoo)
            zoo.put(z.guarded(z.modern(), named(zoo)))
            zoo.put(z.redirect(other.url(), 307), "/away")
            await probe(zoo.url(), zoo.egress(), headers=TOKEN)
            await probe(zoo.url("/away"), zoo.egress(), headers=TOKEN)
            assert other.asked == []
            return [ask for ask in zoo.asked if "authorization" in ask.headers]

    assert {ask.path for ask in asyncio.run(run())} == {"/mcp", "/away"}


# Addresses


def verdict_on(url: str, egress: Egress) -> Verdict:
    return asyncio.run(probe(url, egress, step_seconds=30))


def inside(address: str) -> Egress:
    return Egress(resolver=lambda host, port: [address])


def test_an_address_in_ones_own_network_is_named_and_offered() -> None:
    verdict = verdict_on("https://psa.lan/mcp", inside("192.168.10.5"))
    assert (verdict.kind, verdict.offer) == ("private", Allowance("psa.lan", 443, "192.168.10.0/24", False))
    (problem,) = problems(verdict)
    assert problem.text == "psa.lan points to 192.168.10.5, an address in your own network."
    assert "an admin can allow" in problem.next_step


@pytest.mark.parametrize("url", ["http://psa.lan:8080/mcp", "http://10.1.2.3:8080/mcp"])
def test_the_offer_for_plain_http_says_so(url: str) -> None:
    verdict = verdict_on(url, inside("10.1.2.3"))
    assert verdict.kind == "private" and verdict.offer is not None
    assert (verdict.offer.port, verdict.offer.network, verdict.offer.cleartext) == (8080, "10.1.2.0/24", True)


def test_plain_http_is_offered_where_only_the_encrypted_way_was_allowed() -> None:
    egress = Egress([Allowance("psa.lan", 8080, "10.1.2.0/24")], resolver=lambda host, port: ["10.1.2.3"])
    verdict = verdict_on("http://psa.lan:8080/mcp", egress)
    assert verdict.kind == "private" and verdict.offer is not None and verdict.offer.cleartext


def test_an_unusual_port_is_offered() -> None:
    verdict = verdict_on("https://psa.example:8443/mcp", inside("93.184.216.34"))
    assert verdict.kind == "private" and verdict.offer is not None
    assert (verdict.offer.port, verdict.offer.cleartext) == (8443, False)
    assert "port 8443" in told(verdict)


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/",
        "https://meta.example/",
        "ftp://x.example/",
        "https://user:pw@x.example/",
        "",
        "https://[::1",
        "//",
        "https://a b/",
    ],
)
def test_what_can_never_be_used_is_denied_without_an_offer(url: str) -> None:
    verdict = verdict_on(url, inside("169.254.169.254"))
    assert (verdict.kind, verdict.offer, verdict.usable) == ("denied", None, False)
    assert problems(verdict) and "pw" not in told(verdict)


def test_a_name_that_does_not_exist_is_a_matter_of_the_address() -> None:
    def nobody(host: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    verdict = verdict_on("typo.example", Egress(resolver=nobody))
    assert verdict.kind == "unreachable" and verdict.url == "https://typo.example"
    assert [finding.step for finding in problems(verdict)] == ["address"]
    assert "https:// in front; it was added" in told(verdict)


def test_nothing_listens() -> None:
    async def run() -> Verdict:
        async with z.opened() as zoo:
            egress, url = zoo.egress(), zoo.url()
        return await probe(url, egress, step_seconds=30)

    verdict = asyncio.run(run())
    assert verdict.kind == "unreachable"
    assert "nothing listens on port" in told(verdict)


@pytest.mark.parametrize(
    "where", ["resource_metadata", "authorization_servers", "token_endpoint", "registration_endpoint"]
)
def test_documents_lead_nowhere_the_server_may_not_lead_us(where: str) -> None:
    """The metadata address of clouds, another port of the same machine, and the admin's own network."""

    async def run(target: str) -> tuple[Verdict, int]:
        async with z.opened() as zoo, z.opened() as other:
            target = target or other.url()
            named_there: dict[str, Any] = {where: [target] if where == "authorization_servers" else target}
            describe(zoo, **(named_there if where == "authorization_servers" else {}))
            service(zoo, **(named_there if where.endswith("endpoint") else {}))
            header = f'Bearer resource_metadata="{target}"' if where == "resource_metadata" else ""
            zoo.put(z.guarded(z.modern(), header))
            verdict = await probe(zoo.url(), zoo.egress(), step_seconds=30)
            return verdict, len(other.asked)

    for target in ("https://169.254.169.254/latest", "http://127.0.0.1:1/x", "https://10.0.0.1/x", ""):
        verdict, hits = asyncio.run(run(target))
        assert (verdict.kind, verdict.sign_in, verdict.oauth, hits) == ("modern", "oauth", {}, 0)
        (problem,) = problems(verdict)
        assert problem.step == ("resource_metadata" if where == "resource_metadata" else "service_metadata")
        if verdict.offer is None:
            assert "points to a place where Gatehouse does not go" in problem.text
        else:  # the server is in the own network itself, so its sign-in service may be there: an admin decides
            assert "is in your own network too" in problem.text
        assert (verdict.offer is None) == ("169.254" in target)


def test_an_open_server_with_bad_documents_stays_usable() -> None:
    def build(zoo: z.Zoo) -> None:
        describe(zoo, authorization_servers=["https://169.254.169.254/"])
        zoo.put(z.modern())

    verdict = look(build)
    assert (verdict.kind, verdict.sign_in) == ("modern", "none")
    assert "could not be read" in told(verdict)


# TLS


def over_tls(tmp_path: Path, issued: c.Issued, build: Callable[[z.Zoo], object] | None = None) -> Verdict:
    async def run() -> Verdict:
        async with z.opened(c.server_side(tmp_path, issued)) as zoo:
            (build or (lambda zoo: zoo.put(z.modern())))(zoo)
            return await probe(zoo.url(), zoo.egress(ca_file=c.ca_file(tmp_path)), step_seconds=30)

    return asyncio.run(run())


def test_a_good_certificate_is_named_with_its_last_day(tmp_path: Path) -> None:
    verdict = over_tls(tmp_path, c.issue(z.HOST, c.private_authority(), days=(-2, 60)))
    until = c.NOW + timedelta(days=60)
    assert verdict.kind == "modern"
    assert f"valid until {until.day} {until:%B %Y}" in told(verdict)


def test_a_certificate_about_to_end_is_noted(tmp_path: Path) -> None:
    verdict = over_tls(tmp_path, c.issue(z.HOST, c.private_authority(), days=(-60, 5)))
    assert verdict.kind == "modern"
    assert "tls | note | The connection is encrypted, but the certificate runs out on" in told(verdict)


BAD_CERTIFICATES: dict[str, tuple[Callable[[], c.Issued], str]] = {
    "self-signed": (lambda: c.issue(z.HOST), "self-signed"),
    "unknown authority": (lambda: c.issue(z.HOST, c.issue("Elsewhere", authority=True)), "authority"),
    "expired": (lambda: c.issue(z.HOST, c.private_authority(), days=(-60, -2)), "expired"),
    "not yet valid": (lambda: c.issue(z.HOST, c.private_authority(), days=(2, 60)), "not valid yet"),
    "another name": (lambda: c.issue("other.test", c.private_authority()), "another host name"),
}


@pytest.mark.parametrize("name", BAD_CERTIFICATES)
def test_each_bad_certificate_has_its_own_words(name: str, tmp_path: Path) -> None:
    issued, words = BAD_CERTIFICATES[name]
    verdict = over_tls(tmp_path, issued())
    assert verdict.kind == "unreachable"
    (problem,) = problems(verdict)
    assert problem.step == "tls" and words in f"{problem.text} {problem.why}"
    assert problem.next_step


def test_https_at_a_plain_port_is_named() -> None:
    async def run() -> tuple[Verdict, int]:
        async with serving(raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"), read_request=False) as server:
            egress = Egress([Allowance("127.0.0.1", server.port, "127.0.0.0/8")])
            return await probe(f"https://127.0.0.1:{server.port}/mcp", egress, step_seconds=30), server.port

    verdict, port = asyncio.run(run())
    assert verdict.kind == "unreachable"
    (problem,) = problems(verdict)
    assert (problem.step, problem.suggestion) == ("tls", f"http://127.0.0.1:{port}/mcp")
    assert "does not speak https" in problem.text


def test_old_encryption_is_named() -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.set_ciphers("NULL:@SECLEVEL=0")
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    with shaking_hands(tls) as port:
        place = Allowance("127.0.0.1", port, "127.0.0.0/8")
        verdict = verdict_on(f"https://127.0.0.1:{port}/mcp", Egress([place]))
    assert verdict.kind == "unreachable"
    assert [finding.step for finding in problems(verdict)] == ["tls"]


def test_from_http_to_https_of_the_same_host_is_followed_and_kept(tmp_path: Path) -> None:
    async def run() -> tuple[Verdict, str]:
        tls = c.server_side(tmp_path, c.issue(z.HOST, c.private_authority()))
        async with z.opened() as plain, z.opened(tls) as secure:
            secure.put(z.modern())
            plain.put(z.redirect(secure.url(), 301))
            places = [Allowance(z.HOST, zoo.port, "127.0.0.0/8", True) for zoo in (plain, secure)]
            egress = Egress(places, resolver=lambda host, port: ["127.0.0.1"], ca_file=c.ca_file(tmp_path))
            return await probe(plain.url(), egress), secure.url()

    verdict, secure_url = asyncio.run(run())
    assert (verdict.kind, verdict.url) == ("modern", secure_url)
    assert "certificate is valid until" in told(verdict)


def test_from_https_to_http_is_not_followed(tmp_path: Path) -> None:
    verdict = over_tls(
        tmp_path,
        c.issue(z.HOST, c.private_authority()),
        lambda zoo: zoo.put(z.redirect(zoo.url("/new").replace("https:", "http:"), 307)),
    )
    assert verdict.kind == "not_mcp"


# Time


def test_a_server_that_never_answers_ends_after_its_steps() -> None:
    began = time.monotonic()
    verdict = look(lambda zoo: zoo.put(z.silent), step_seconds=0.3)
    assert verdict.kind == "unreachable"
    assert "did not answer" in told(verdict)
    assert time.monotonic() - began < 30


def test_an_older_server_that_falls_silent_at_the_modern_question_is_still_found() -> None:
    server = z.legacy()

    async def deaf(ask: z.Ask) -> z.Answer | None:
        return await (z.silent(ask) if ask.rpc == "server/discover" else server(ask))

    assert look(lambda zoo: zoo.put(deaf), step_seconds=2).kind == "legacy"


def test_the_whole_check_ends_in_time_and_keeps_what_it_knows() -> None:
    async def slow_list(ask: z.Ask) -> z.Answer | None:
        return await z.silent(ask)

    verdict = look(lambda zoo: zoo.put(z.modern(tools_list=slow_list)), step_seconds=20, total_seconds=3)
    assert (verdict.kind, verdict.version, verdict.tool_count) == ("modern", MODERN, None)
    assert "stopped after 3 seconds" in told(verdict)


def test_drips_and_floods_do_not_hold_the_check_up() -> None:
    async def drip(ask: z.Ask) -> z.Answer | None:
        await ask.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n")
        while True:
            await ask.write(b" ")
            await asyncio.sleep(0.02)

    async def flood(ask: z.Ask) -> z.Answer | None:
        await ask.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
        for _ in range(100):
            await ask.write(b" " * 1_000_000)
        return None

    assert look(lambda zoo: zoo.put(drip), step_seconds=0.3).kind == "unreachable"
    assert look(lambda zoo: zoo.put(flood)).kind == "not_mcp"


def test_a_list_without_end_is_counted_as_far_as_it_was_read() -> None:
    async def endless(ask: z.Ask) -> z.Answer:
        number = int(ask.params.get("cursor", "0"))
        return z.result(ask, {"tools": [{**z.ECHO, "name": f"t{number}"}], "nextCursor": str(number + 1)})

    verdict = look(lambda zoo: zoo.put(z.modern(tools_list=endless)))
    assert (verdict.tool_count, "at least 20 tools" in told(verdict)) == (20, True)
