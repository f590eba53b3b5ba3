"""What Gatehouse says to sign-in services: who it is, what it asks for, and what it makes of odd answers."""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.authority import Service, authority, documents
from tests.authority.wire import challenge_of, unsigned
from webapp.errors import BadReply, EgressDenied, SignInRefused, Unreachable, UpstreamError
from webapp.upstream import oauth
from webapp.upstream.discovery import Discovery, SignInService
from webapp.upstream.egress import Allowance, Egress
from webapp.upstream.oauth import ClientIdentity, SignInDesk, Tokens

T = TypeVar("T")
BACK = "http://localhost:8000/oauth/callback"
VERIFIER = "verifier-" + "3f" * 30
NAMES = {"none": "none", "basic": "client_secret_basic", "post": "client_secret_post"}


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


async def _found(service: Service, challenge: str) -> SignInService:
    async with service.egress().http() as http:
        found = await Discovery(service.egress(), http).sign_in_service(service.mcp_url, challenge)
    assert found is not None
    return found


@dataclass
class Visit:
    """One client at one sign-in service."""

    service: Service
    found: SignInService
    client: ClientIdentity
    codes: list[str] = field(default_factory=list)

    @property
    def desk(self) -> SignInDesk:
        return SignInDesk(self.service.egress(), self.found.metadata, self.client, BACK)

    def address(self, scope: str = "notes.read", resource: str | None = None) -> str:
        sent = self.found.resource if resource is None else resource
        return self.desk.authorization_url(state="s1", verifier=VERIFIER, scope=scope, resource=sent)

    def code(self) -> str:
        back = parse_qs(urlsplit(self.service.walk(self.address())).query)
        return back["code"][0]

    def exchanged(self, code: str = "", verifier: str = VERIFIER) -> Tokens:
        return run(self.desk.exchange(code or self.code(), verifier, self.found.resource))

    def refreshed(self, token: str) -> Tokens:
        return run(self.desk.refresh(token, self.found.resource))


@contextmanager
def visiting(method: str = "none", **faults: Any) -> Iterator[Visit]:
    with authority(**faults) as service:
        registered = service.client(method, BACK)
        client = ClientIdentity(registered.client_id, registered.secret, NAMES[method])
        yield Visit(service, run(_found(service, "")), client)


def told(refusal: UpstreamError) -> str:
    """Everything of a refusal that could reach a page or a log."""
    return "".join(traceback.format_exception(refusal)) + repr(
        (refusal.what, refusal.why, refusal.next_step, refusal.for_agent, refusal)
    )


# The address of the page


def test_the_page_is_asked_with_pkce_and_resource() -> None:
    with visiting() as visit:
        asked = parse_qs(urlsplit(visit.address()).query)
        assert asked == {
            "response_type": ["code"],
            "client_id": [visit.client.client_id],
            "redirect_uri": [BACK],
            "scope": ["notes.read"],
            "state": ["s1"],
            "code_challenge": [challenge_of(VERIFIER)],
            "code_challenge_method": ["S256"],
            "resource": [visit.service.mcp_url],
        }


def test_what_is_empty_is_left_out() -> None:
    with visiting() as visit:
        asked = parse_qs(urlsplit(visit.address("", "")).query, keep_blank_values=True)
        assert "scope" not in asked and "resource" not in asked and "prompt" not in asked


def test_offline_access_comes_with_the_consent_it_needs() -> None:
    with visiting() as visit:
        asked = parse_qs(urlsplit(visit.address("notes.read offline_access")).query)
        assert asked["prompt"] == ["consent"]


def test_a_query_of_the_page_itself_stays() -> None:
    with visiting(page="query") as visit:
        asked = parse_qs(urlsplit(visit.address()).query)
        assert asked["tenant"] == ["blue sky"] and asked["state"] == ["s1"]
        assert visit.exchanged().access


@pytest.mark.parametrize(
    "page",
    [
        "javascript:alert(1)//",
        "file:///etc/passwd",
        "--flag",
        "data:text/html,<script>alert(1)</script>",
        "https://",
        "$(calc)",
        "ms-settings:about",
        "http://signin.example/authorize",
        "https://signin.example:pass@evil.example/authorize",
        "http://169.254.169.254/authorize",
        "https://signin.example/authorize?client_id=app-of-somebody-else",
        "https://signin.example/authorize?tenant=x&redirect_uri=https%3A%2F%2Fevil.example",
        "https://signin.example/authorize?request_uri=https%3A%2F%2Fevil.example%2Fr",
        "https://signin.example/authorize?scope=everything",
    ],
)
def test_a_page_no_browser_should_open_is_refused_at_discovery(page: str) -> None:
    with authority(published={"authorization_endpoint": page}) as service:
        with pytest.raises(UpstreamError) as refusal:
            run(_found(service, ""))
        assert refusal.value.next_step
        assert service.asked("/register") == service.asked("/token") == []


@pytest.mark.parametrize(
    "page",
    [
        "https://signin.example/$(calc)",
        "https://signin.example/\r\nLocation: https://evil.example",
        'https://signin.example/"><script>alert(1)</script>',
        "https://signin.example/`id`;%0d%0a",
    ],
)
def test_what_is_odd_in_a_page_can_do_nothing(page: str) -> None:
    """Refused, or an https address at that very host, with nothing in it that ends a header, tag or string."""
    with authority(published={"authorization_endpoint": page}) as service:
        try:
            found = run(_found(service, ""))
        except UpstreamError:
            return
        desk = SignInDesk(service.egress(), found.metadata, ClientIdentity("c"), BACK)
        address = desk.authorization_url(state="s", verifier=VERIFIER, scope="", resource="")
        assert urlsplit(address).hostname == "signin.example" and address.startswith("https://")
        assert not set('\r\n"<> \\') & set(address)


# Tokens


@pytest.mark.parametrize("method", ["none", "basic", "post"])
def test_every_kind_of_client_from_code_to_revocation(method: str) -> None:
    with visiting(method, email="ops@example.com") as visit:
        tokens = visit.exchanged()
        assert (tokens.expires_in, tokens.account) == (3600, "ops@example.com")
        renewed = visit.refreshed(tokens.refresh)
        assert renewed.access != tokens.access and renewed.refresh not in ("", tokens.refresh)
        assert run(visit.desk.revoke(renewed)) is True
        service = visit.service
        assert (service.exchanges, service.refreshes, service.revocations) == (1, 1, 2)
        assert [ask.form["token_type_hint"] for ask in service.asked("/revoke")] == [
            "refresh_token",
            "access_token",
        ]
        for ask in service.asked("/token"):
            assert ask.form["resource"] == service.mcp_url
            assert "application/json" in ask.headers["accept"]
            assert ("client_secret" in ask.form) == (method == "post")
            assert ("authorization" in ask.headers) == (method == "basic")
            assert ask.query == {}
        assert service.asked("/token")[0].form["code_verifier"] == VERIFIER


def test_nothing_of_a_resource_where_it_is_to_be_left_out() -> None:
    with visiting(resource_rule="refuse") as visit:
        back = parse_qs(urlsplit(visit.service.walk(visit.address(resource=""))).query)
        tokens = run(visit.desk.exchange(back["code"][0], VERIFIER, ""))
        run(visit.desk.refresh(tokens.refresh, ""))
        assert all("resource" not in ask.form for ask in visit.service.asked("/token"))


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ({"token": "form"}, {"expires_in": 3600}),
        ({"expires_in": "1800"}, {"expires_in": 1800}),
        ({"expires_in": 0}, {"expires_in": None}),
        ({"expires_in": -5}, {"expires_in": None}),
        ({"expires_in": None}, {"expires_in": None}),
        ({"refresh_token": "never"}, {"refresh": ""}),
        ({"granted_scope": "notes.write"}, {"scope": "notes.write"}),
        ({}, {"scope": "", "account": ""}),
    ],
)
def test_answers_of_many_kinds(faults: dict[str, Any], expected: dict[str, Any]) -> None:
    with visiting(**faults) as visit:
        tokens = visit.exchanged()
        assert tokens.access
        assert {name: getattr(tokens, name) for name in expected} == expected


def test_a_refresh_without_a_new_refresh_token_is_an_answer() -> None:
    with visiting(rotation=False) as visit:
        first = visit.exchanged()
        again = visit.refreshed(first.refresh)
        assert again.access != first.access
        assert again.refresh in ("", first.refresh)


def test_tokens_show_no_secret() -> None:
    with visiting("post") as visit:
        tokens = visit.exchanged()
        shown = repr((tokens, visit.client, visit.desk))
        assert not [canary for canary in visit.service.secrets if canary in shown]


@pytest.mark.parametrize(
    ("faults", "kind", "word"),
    [
        ({"token": "error200"}, SignInRefused, "bad_verification_code"),
        ({"token": "html"}, BadReply, "not_json"),
        ({"token": "form_always"}, BadReply, "not_json"),
        ({"token": "no_token"}, BadReply, "not_json"),
        ({"token": "huge"}, BadReply, "too_large"),
        ({"token": "cut"}, Unreachable, "closed"),
        ({"token": "redirect"}, UpstreamError, ""),
        ({"token": "moved"}, UpstreamError, ""),
        ({"token_status": 500, "token_troubles": 1}, Unreachable, "busy"),
        ({"token_status": 503, "token_troubles": 1}, Unreachable, "busy"),
        ({"token_status": 429, "token_troubles": 1}, Unreachable, "busy"),
        ({"token_status": 404, "token_troubles": 1}, UpstreamError, ""),
    ],
)
def test_answers_that_are_none(faults: dict[str, Any], kind: type[UpstreamError], word: str) -> None:
    with visiting("post", **faults) as visit:
        code = visit.code()
        with pytest.raises(kind) as refusal:
            visit.exchanged(code)
        error: Any = refusal.value
        assert word in (getattr(error, "kind", ""), getattr(error, "code", ""), "")
        assert error.next_step
        said = told(error)
        assert not [canary for canary in [*visit.service.secrets, VERIFIER] if canary in said]
        assert len(visit.service.asked("/token")) == 1, "a code is never sent twice"
        assert visit.service.decoy_hits == visit.service.asked("/moved") == []


def test_a_refusal_that_quotes_our_secrets_is_told_without_them() -> None:
    with visiting() as visit:
        canary = "of-somebody" + "-else"
        for attempt in (visit.exchanged, visit.refreshed):
            with pytest.raises(SignInRefused) as refusal:
                attempt(canary)
            assert refusal.value.code == "invalid_grant"
            assert "is not" in refusal.value.what and canary not in told(refusal.value)


def test_a_wrong_secret_is_named_as_what_it_is() -> None:
    with visiting("basic") as visit:
        code = visit.code()
        visit.client = ClientIdentity(visit.client.client_id, "wrong one", "client_secret_basic")
        with pytest.raises(SignInRefused) as refusal:
            visit.exchanged(code)
        assert refusal.value.code == "invalid_client"
        assert "client id and secret" in refusal.value.next_step
        assert "wrong one" not in told(refusal.value)


def test_a_slow_token_endpoint_is_waited_for_no_longer_than_told() -> None:
    gate = threading.Event()
    with visiting() as visit:
        code = visit.code()
        visit.service.faults.hold = gate
        desk = SignInDesk(visit.service.egress(), visit.found.metadata, visit.client, BACK, seconds=0.3)
        try:
            with pytest.raises(Unreachable) as refusal:
                run(desk.exchange(code, VERIFIER, visit.found.resource))
        finally:
            gate.set()
        assert refusal.value.kind == "read_timeout"


# Where nobody should go


@pytest.mark.parametrize("lure", ["link-local", "private", "decoy"])
@pytest.mark.parametrize("endpoint", ["token_endpoint", "registration_endpoint", "revocation_endpoint"])
def test_endpoints_that_lead_inside_are_refused_at_discovery(endpoint: str, lure: str) -> None:
    with authority(lures={endpoint: lure}) as service:
        with pytest.raises(EgressDenied) as refusal:
            run(_found(service, ""))
        place = urlsplit(documents.lure(lure, service.decoy, ""))
        assert str(place.hostname) in refusal.value.what
        assert str(place.hostname) not in refusal.value.for_agent
        assert service.decoy_hits == []


@pytest.mark.parametrize("lure", ["link-local", "private", "decoy"])
@pytest.mark.parametrize("document", ["resource_metadata", "authorization_servers", "redirect"])
def test_documents_that_lead_inside_are_not_read(document: str, lure: str) -> None:
    with authority(lures={document: lure}) as service:
        root = service.origin + documents.RESOURCE_METADATA + documents.MCP
        announced = documents.lure(lure, service.decoy, "/doc") if document == "resource_metadata" else root
        try:
            found = run(_found(service, f'Bearer resource_metadata="{announced}"'))
        except UpstreamError as refusal:
            assert refusal.next_step
        else:  # as if there were none: the server's own host may still say where to sign in
            assert document == "redirect" and found.issuer == service.issuer
        assert service.decoy_hits == []
        assert service.asked("/token") == service.asked("/register") == []


def test_a_document_sends_nobody_to_another_origin() -> None:
    """Even where the guard would let us go there."""

    async def found(service: Service) -> SignInService | None:
        decoy = urlsplit(service.decoy)
        aside = Allowance(str(decoy.hostname), decoy.port or 0, "127.0.0.1/32", cleartext=True)
        egress = Egress([service.allowance(), aside])
        async with egress.http() as http:
            return await Discovery(egress, http).sign_in_service(service.mcp_url, "")

    with authority(lures={"redirect": "decoy"}) as service:
        run(found(service))
        assert service.decoy_hits == []


def test_an_address_of_keys_is_never_fetched() -> None:
    with visiting(
        lures={"jwks_uri": "decoy", "userinfo_endpoint": "decoy"}, email="ops@example.com"
    ) as visit:
        assert visit.exchanged().account == "ops@example.com"
        assert visit.service.decoy_hits == []


@pytest.mark.parametrize("lure", ["link-local", "private", "decoy"])
def test_the_desk_itself_goes_nowhere_else_either(lure: str) -> None:
    """Metadata kept from an earlier day is under the same guard."""
    with visiting() as visit:
        place = documents.lure(lure, visit.service.decoy, "/token")
        kept = visit.found.metadata.model_dump(mode="json") | {
            "token_endpoint": place,
            "revocation_endpoint": place,
        }
        desk = SignInDesk(
            visit.service.egress(), type(visit.found.metadata).model_validate(kept), visit.client
        )
        for work in (
            desk.exchange("c", VERIFIER, ""),
            desk.refresh("r", ""),
            desk.revoke(Tokens("a", "r")),
        ):
            with pytest.raises(EgressDenied):
                run(work)
        assert visit.service.decoy_hits == []


# Registering


def registered(service: Service, scope: str = "") -> ClientIdentity:
    found = run(_found(service, ""))
    wanted = oauth.client_metadata("Gatehouse", "", BACK, found.metadata, scope)
    return run(oauth.register(service.egress(), found.metadata, wanted))


@pytest.mark.parametrize(
    ("faults", "method"),
    [
        ({"auth_methods": ("none",)}, "none"),
        ({"auth_methods": ("client_secret_post",)}, "client_secret_post"),
        ({"auth_methods": None}, "client_secret_basic"),
        ({"assigned": "unnamed"}, "client_secret_basic"),
        ({"assigned": "post"}, "client_secret_post"),
        ({"assigned": "none"}, "none"),
        ({"registration": "200", "assigned": "basic"}, "client_secret_basic"),
        ({"registration": "nulls", "assigned": "none", "secret_expires_at": None}, "none"),
        ({"registration": "nulls", "assigned": "post", "secret_expires_at": None}, "client_secret_post"),
    ],
)
def test_registered_in_a_way_that_then_works(faults: dict[str, Any], method: str) -> None:
    with authority(**faults) as service:
        client = registered(service)
        assert client.auth_method == method
        assert client.secret_expires_at is None
        assert service.registrations == 1
        assert Visit(service, run(_found(service, "")), client).exchanged().access


def test_what_we_say_of_ourselves() -> None:
    with authority() as service:
        registered(service, "notes.read")
        (ask,) = service.asked("/register")
        said = httpx2.Response(200, content=ask.body).json()
        assert said["redirect_uris"] == [BACK]
        assert said["application_type"] == "native"
        assert set(said["grant_types"]) == {"authorization_code", "refresh_token"}
        assert said["scope"] == "notes.read"
        assert None not in said.values()
        web = oauth.client_metadata(
            "Gatehouse", "https://gate.example", "https://gate.example/oauth/callback"
        )
        assert (web.application_type, web.token_endpoint_auth_method) == ("web", "none")


def test_the_end_of_a_secret_is_kept() -> None:
    ends = int(time.time()) + 86400
    with authority(assigned="basic", secret_expires_at=ends) as service:
        assert registered(service).secret_expires_at == datetime.fromtimestamp(ends, UTC)


@pytest.mark.parametrize("ends", [10**18, 253402300800, 10**40], ids=str)
def test_a_secret_that_ends_beyond_the_calendar_breaks_nothing(ends: int) -> None:
    with authority(assigned="basic", secret_expires_at=ends) as service:
        try:
            client = registered(service)
        except UpstreamError as refusal:
            assert refusal.next_step
        else:
            assert client.secret_expires_at is None or client.secret_expires_at > datetime.now(
                UTC
            ) + timedelta(days=365)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("refused", SignInRefused),
        ("trouble", Unreachable),
        ("nonsense", BadReply),
        ("odd_method", BadReply),
        ("redirect", UpstreamError),
        ("moved", UpstreamError),
    ],
)
def test_registrations_that_can_not_be_used(fault: str, kind: type[UpstreamError]) -> None:
    with authority(registration=fault, assigned="basic") as service:
        with pytest.raises(kind) as refusal:
            registered(service)
        assert refusal.value.next_step
        assert not [canary for canary in service.secrets if canary in told(refusal.value)]
        assert service.decoy_hits == service.asked("/moved") == []


# Revoking


def test_no_revocation_is_no_failure() -> None:
    with visiting(revocation="absent") as visit:
        assert run(visit.desk.revoke(Tokens("a", "r"))) is False
        assert visit.service.asked("/revoke") == []


def test_a_revocation_that_fails_says_so() -> None:
    with visiting(revocation="trouble") as visit:
        tokens = visit.exchanged()
        with pytest.raises(Unreachable) as refusal:
            run(visit.desk.revoke(tokens))
        assert "503" in refusal.value.what and refusal.value.next_step
        assert tokens.access not in told(refusal.value)


# Whom the service says has signed in


@pytest.mark.parametrize(
    ("answer", "account"),
    [
        ({"id_token": unsigned({"email": "a@b.example", "name": "A"})}, "a@b.example"),
        ({"id_token": unsigned({"sub": "7", "preferred_username": "ann"})}, "ann"),
        ({"id_token": unsigned({"email": 7, "name": "Ann\r\n<b>"})}, "Ann <b>"),
        ({"id_token": "x.%%%.y"}, ""),
        ({"id_token": "nonsense"}, ""),
        ({"id_token": {"email": "a@b.example"}}, ""),
        ({"id_token": unsigned({"email": "x" * 5000})}, "x" * 200),
        ({"username": "ann"}, "ann"),
        ({}, ""),
    ],
)
def test_the_account(answer: dict[str, Any], account: str) -> None:
    assert oauth.account_in(answer) == account
