"""Sign-in services that attack: whatever they answer is a refusal in words, in time, and nothing is kept or sent on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.authority import Service, authority, documents
from tests.signing_in import HERE, answer_of, connected, draft, sign_in, somebody
from webapp.errors import NeedsAuthorization, UpstreamError
from webapp.services import integrations, sign_ins, sync, tokens
from webapp.services.audit import COMMAND
from webapp.services.registrations import ClientWanted
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Connection, Grant, OAuthClient, SignIn
from webapp.upstream import oauth

DEEP = b'{"access_token":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def token(**fields: Any) -> bytes:
    return json.dumps({"access_token": "fine-token", "token_type": "Bearer"} | fields).encode()


# What is no token: JSON in odd shapes, and tokens that can't be sent or are of another kind.
NO_TOKENS = {
    "a list": b"[1]",
    "a list of pairs": b'[["access_token", "x"], ["token_type", "Bearer"]]',
    "a list with error": b'["error"]',
    "text": b'"access_token"',
    "text with error": b'"error"',
    "a number": b"5",
    "null": b"null",
    "nothing": b"",
    "deep": DEEP,
    "deep list": b"[" * 200_000,
    "no utf-8": b'{"access_token": "\xff\xfe"}',
    "a huge number": b'{"access_token": "x", "expires_in": ' + b"9" * 5000 + b"}",
    "a line break": token(access_token="a\r\nX-Evil: 1"),
    "a space": token(access_token="a b"),
    "an empty token": token(access_token=""),
    "not ascii": token(access_token="tökén"),
    "half a character": b'{"access_token": "\\ud800", "token_type": "Bearer"}',
    "a null byte": token(access_token="a\x00b"),
    "a token that is none": token(access_token={"a": 1}),
    "another kind": token(token_type="DPoP"),
    "a mac": token(token_type="mac"),
    "no kind at all": token(token_type=7),
    "an error beside it": token(error="invalid_grant"),
    "an odd error": token(error={"a": ["b"]}, error_description=[1]),
    "the last one counts": b'{"access_token": "first", "token_type": "Bearer", "access_token": ""}',
    "a refresh token that is none": token(refresh_token=[1]),
    "a refresh token with a line break": token(refresh_token="a\r\nb"),
    "half a refresh token": b'{"access_token": "x", "token_type": "Bearer", "refresh_token": "\\udc00"}',
    "a scope that is none": token(scope={"a": 1}),
}
# What is a token whatever else is odd about the answer, and what becomes of its lifetime.
ODD_LIVES = {
    "NaN": b"NaN", "Infinity": b"Infinity", "-Infinity": b"-Infinity", "1e400": b"1e400", "-1": b"-1", "0": b"0",
    "1e30": b"1e30", "10**18": b"1000000000000000000", "text": b'"soon"', "true": b"true", "a list": b"[1]",
}  # fmt: skip


@pytest.fixture
def service() -> Iterator[Service]:
    with authority() as one:
        yield one


def nothing_kept() -> bool:
    return not (Grant.select().count() or Connection.select().count())


def ended(service: Service, name: str = "notes") -> SignIn:
    """A sign-in whose code was answered as ordered, and which did not work."""
    row = sign_in(service, draft(service, name))
    assert row.ended == "failed" and row.problem["what"] and row.problem["next_step"]
    assert max(map(len, row.problem.values())) < 600 and "\r" not in repr(row.problem["what"])
    assert nothing_kept() and len(service.asked("/token")) == 1
    return row


@pytest.mark.parametrize("name", NO_TOKENS)
def test_an_answer_that_is_no_usable_token(store: None, service: Service, name: str) -> None:
    service.faults.raw = {"/token": (200, NO_TOKENS[name])}
    ended(service)


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("name", ["a list", "text", "null", "nothing", "deep", "no utf-8", "an odd error"])
def test_a_refusal_that_is_no_proper_one(store: None, service: Service, name: str, status: int) -> None:
    service.faults.raw = {"/token": (status, NO_TOKENS[name])}
    ended(service)


@pytest.mark.parametrize("name", ODD_LIVES)
def test_a_lifetime_that_is_none_breaks_nothing(store: None, service: Service, name: str) -> None:
    """Refused, or kept with a sensible end or none; the token can be asked for either way."""
    body = b'{"access_token": "fine-token", "token_type": "bearer", "expires_in": ' + ODD_LIVES[name] + b"}"
    service.faults.raw = {"/token": (200, body)}
    row = sign_in(service, draft(service))
    assert row.ended in ("done", "failed")
    if row.ended == "failed":
        assert row.problem["next_step"] and nothing_kept()
    else:
        kept = Grant.get()
        assert kept.expires_at is None or kept.expires_at > now()
        presented = tokens.present(integrations.find("notes"))
        assert presented.headers == {"Authorization": "Bearer fine-token"}


@pytest.mark.parametrize("name", NO_TOKENS)
def test_a_renewal_answered_so_loses_nothing(store: None, service: Service, name: str) -> None:
    """The old token is over, so there is nothing to present; but the sign-in stays for another try."""
    notes = connected(service)
    before = Grant.get()
    service.faults.raw = {"/token": (200, NO_TOKENS[name])}
    with writing():
        Grant.update(expires_at=now()).execute()
    with pytest.raises(UpstreamError) as refusal:
        tokens.present(notes)
    assert refusal.value.next_step
    after = Grant.get()
    assert after.tokens == before.tokens and after.version == before.version
    assert after.lease_by == "", "nobody has to wait for a lease"
    if not isinstance(refusal.value, NeedsAuthorization):
        service.faults.raw = {}
        with writing():
            Grant.update(retry_at=None).execute()
        assert tokens.present(notes).version == before.version + 1


HUGE_WORDS = "<img src=x onerror=alert(1)>\r\nSet-Cookie: a=b\x1b[2J" + "A" * 900_000


@pytest.mark.parametrize("field", ["error", "error_description", "error_uri"])
def test_refusals_are_quoted_shortly_and_on_one_line(store: None, service: Service, field: str) -> None:
    said = {"error": "invalid_request", field: HUGE_WORDS}
    service.faults.raw = {"/token": (400, json.dumps(said).encode())}
    row = ended(service)
    assert "\n" not in row.problem["what"] and "\x1b" not in row.problem["what"]


# Documents


WHERE = {
    "resource": documents.RESOURCE_METADATA + documents.MCP,
    "service": documents.SERVICE_METADATA,
}
NO_DOCUMENTS = {
    name: NO_TOKENS[name] for name in ("a list", "text", "null", "nothing", "deep", "deep list", "no utf-8")
} | {"NaN": b"NaN", "an array of itself": b"[" * 50 + b"1" + b"]" * 50}


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("name", NO_DOCUMENTS)
def test_a_document_that_is_none(store: None, service: Service, where: str, name: str) -> None:
    service.faults.raw = {WHERE[where]: (200, NO_DOCUMENTS[name])}
    stopped_before_the_jump(service)


@pytest.mark.parametrize("where", [*WHERE, "registration", "token"])
@pytest.mark.parametrize("kind", ["flood", "drip"])
def test_floods_and_drips_end_in_time(
    store: None, service: Service, where: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 MB, cut at one; and a byte now and then, cut at a deadline that each byte could have put off."""
    if kind == "drip":  # and only there: what comes before has all the time it needs
        hurry(monkeypatch, where)
    path = WHERE.get(where) or {"registration": "/register", "token": "/token"}[where]
    service.faults.raw = {path: (200, b"{" + b" " * 1000)}
    service.faults.drips, service.faults.floods = kind == "drip", 100 if kind == "flood" else 0
    began = time.monotonic()
    if where == "token":
        ended(service)
    else:
        stopped_before_the_jump(service, registering=where == "registration")
    assert time.monotonic() - began < 60


def hurry(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    if where == "registration":
        monkeypatch.setattr(oauth.register, "__kwdefaults__", {"seconds": 1.0})
    elif where == "token":
        monkeypatch.setattr(sign_ins.SignInDesk.__init__, "__kwdefaults__", {"seconds": 1.0})
    else:
        monkeypatch.setattr(sign_ins, "LOOK_SECONDS", 1.5)


def stopped_before_the_jump(service: Service, *, registering: bool = False) -> None:
    integration = draft(service)
    actor, session = somebody()
    try:
        row = sign_ins.begin(integration, actor, session, HERE)
    except (UpstreamError, ClientWanted) as refusal:
        assert refusal.next_step
        assert SignIn.select().count() == OAuthClient.select().count() == 0
    else:  # the resource's own document was unusable: the host itself still says where to sign in
        assert not registering and row.issuer == service.issuer
    assert service.asked("/token") == service.asked("/authorize") == [] == service.decoy_hits


@pytest.mark.parametrize("status", [200, 201, 400, 403])
@pytest.mark.parametrize("name", ["a list", "text", "null", "nothing", "deep", "no utf-8", "an odd error"])
def test_a_registration_that_is_none(store: None, service: Service, name: str, status: int) -> None:
    service.faults.raw = {"/register": (status, NO_TOKENS[name])}
    stopped_before_the_jump(service, registering=True)


@pytest.mark.parametrize(
    "field",
    [
        {"client_id": "a\r\nb"},
        {"client_id": ""},
        {"client_id": "x" * 500_000},
        {"client_secret": "a\r\nb"},
        {"client_secret": ["a"]},
        {"client_id": "\ud800"},
        {"client_secret": "\ud800"},
        {"client_secret_expires_at": -1},
        {"token_endpoint_auth_method": "<script>" * 50_000},
    ],
    ids=lambda field: str(field)[:40],
)
def test_odd_registrations_are_refused_or_harmless(
    store: None, service: Service, field: dict[str, Any]
) -> None:
    said = {
        "client_id": "c1",
        "client_secret": "s1",
        "redirect_uris": [f"{HERE.came_by}/oauth/callback"],
    } | field
    service.faults.raw = {"/register": (201, json.dumps(said).encode())}
    integration = draft(service)
    actor, session = somebody()
    try:
        address = sign_ins.jump(sign_ins.begin(integration, actor, session, HERE))
    except (UpstreamError, ClientWanted) as refusal:
        assert refusal.next_step and len(refusal.what) < 400
        assert SignIn.select().count() == 0
    else:
        assert not set('\r\n"<> \\') & set(address) and len(address) < 8000


# Where the token goes


def test_a_token_is_not_carried_along_on_a_redirect(store: None, service: Service) -> None:
    notes = connected(service)
    for target in (f"{service.decoy}/mcp", f"{service.origin}/elsewhere"):
        service.faults.moved_to = target
        with pytest.raises(UpstreamError):
            sync.sync(notes, COMMAND)
    assert service.decoy_hits == [] == service.asked("/elsewhere")


@pytest.mark.parametrize(
    "resource",
    [
        "https://other.example/mcp",
        "ORIGIN/other",
        "ORIGIN/mcp/deeper",
        "ORIGIN@evil.example/mcp",
        "https://127.0.0.1/mcp",
    ],
)
def test_metadata_about_another_resource_stops_the_sign_in(
    store: None, service: Service, resource: str
) -> None:
    service.faults.resource_metadata = "elsewhere"
    service.faults.resource = resource.replace("ORIGIN", service.origin)
    stopped_before_the_jump(service)
    assert service.asked("/register") == []


def test_the_issuer_that_counts_is_the_one_that_was_compared(store: None, service: Service) -> None:
    """Two of a name: parsers differ on which they take."""
    honest = json.dumps(documents.of_service(service.origin, service.decoy, service.faults))
    twice = honest.replace(
        "{", '{"issuer": "https://evil.example", "token_endpoint": "' + service.decoy + '/token", ', 1
    )
    service.faults.raw = {documents.SERVICE_METADATA: (200, twice.encode())}
    row = sign_in(service, draft(service))
    assert row.ended == "done" and row.issuer == service.issuer and service.decoy_hits == []


def test_a_code_may_look_like_anything(store: None, service: Service) -> None:
    actor, session = somebody()
    integration = draft(service)
    for code in ("a\r\nb: c", "\ud800", "x" * 60_000, "../../etc/passwd", "&client_id=other", "%00"):
        row = sign_ins.begin(integration, actor, session, HERE)
        answer = answer_of(service.walk(sign_ins.jump(row))) | {"code": code}
        done = sign_ins.come_back(answer, session, actor)
        assert done.ended == "failed" and done.problem["next_step"]
    assert nothing_kept()
    assert {seen.form["client_id"] for seen in service.asked("/token")} == set(service.ledger.clients)
