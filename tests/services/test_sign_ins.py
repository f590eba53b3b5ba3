"""Signing in at a service: what is asked of it, what is kept, and every way in which it stops before harm is done."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from config import Config
from tests.authority import Service, authority
from tests.authority.ledger import RegisteredClient
from tests.authority.wire import challenge_of
from tests.signing_in import HERE, answer_of, connected, draft, sign_in, somebody
from webapp.errors import (
    BadReply,
    EgressDenied,
    Forbidden,
    InvalidInput,
    NotFound,
    Refused,
    Stale,
    Unreachable,
    UpstreamError,
)
from webapp.services import dialects, identity, integrations, registrations, sign_ins
from webapp.services.audit import COMMAND, Actor
from webapp.services.registrations import ClientWanted
from webapp.services.sign_ins import NotThisOne, Route
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Connection, Entry, Grant, Integration, OAuthClient, Session, SignIn, database

BACK = "http://127.0.0.1:8000/oauth/callback"
CIMD = "https://gate.example.com/.well-known/oauth-client/gatehouse.json"
POISON = '<script>alert(1)</script>"\r\nSet-Cookie: a=b\x00\x1b[31m\ud800' + "x" * 5000


@pytest.fixture
def service() -> Iterator[Service]:
    with authority(email="ops@example.com") as one:
        yield one


@pytest.fixture(autouse=True)
def own_address() -> Iterator[None]:
    yield
    identity.configure(Config())


@dataclass
class Way:
    """One sign-in, step by step."""

    service: Service
    integration: Integration
    actor: Actor
    session: Session

    def begin(self, route: Route = HERE, **more: Any) -> SignIn:
        return sign_ins.begin(integrations.find("notes"), self.actor, self.session, route, **more)

    def walked(self) -> dict[str, str]:
        """What the service sends back."""
        return answer_of(self.service.walk(sign_ins.jump(self.begin())))

    def back(self, answer: dict[str, str]) -> SignIn:
        return sign_ins.come_back(answer, self.session, self.actor)


@pytest.fixture
def way(store: None, service: Service) -> Way:
    return Way(service, draft(service), *somebody())


def nothing_gained() -> bool:
    """No grant, no connection: as if nobody had tried."""
    states = {row.state for row in Integration.select()}
    return states == {"draft"} and not (Grant.select().count() or Connection.select().count())


def refusals() -> list[str]:
    rows = Entry.select().where(Entry.action == "sign_in.refused", Entry.outcome == "refused")
    return [json.loads(row.details)["why"] for row in rows]


# The whole way


def test_from_an_address_to_a_connected_server(way: Way, service: Service) -> None:
    row = way.begin()
    assert (row.ended, row.state_hash, row.issuer) == ("", None, service.issuer)
    address = sign_ins.jump(row)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43
    assert asked["resource"] == service.mcp_url and asked["redirect_uri"] == BACK
    assert len(asked["state"]) >= 43, "256 bits"
    assert "state" not in {name for name in asked if asked[name] == row.id}
    done = way.back(answer_of(service.walk(address)))
    assert (done.ended, done.problem) == ("done", None)
    (exchange,) = service.asked("/token")
    assert challenge_of(exchange.form["code_verifier"]) == asked["code_challenge"]
    assert exchange.form["resource"] == service.mcp_url
    found = integrations.find("notes")
    assert found.state == "connected"
    connection = Connection.get(Connection.integration == found)
    assert (connection.kind, connection.account) == ("oauth", "ops@example.com")
    assert connection.given_by_id == way.session.user_id is not None
    grant = Grant.of(found)
    assert grant is not None and (grant.renewable, grant.lifetime, grant.issuer) == (
        True,
        3600,
        service.issuer,
    )
    assert set(grant.scope.split()) == {"notes.read", "notes.write", "offline_access"}


def test_each_time_another_state_and_verifier(way: Way, service: Service) -> None:
    row = way.begin()
    asked = [parse_qs(urlsplit(sign_ins.jump(row)).query) for _ in range(2)]
    assert asked[0]["state"] != asked[1]["state"]
    assert asked[0]["code_challenge"] != asked[1]["code_challenge"]
    with pytest.raises(NotThisOne):
        way.back({"state": asked[0]["state"][0], "code": "c", "iss": service.issuer})
    assert service.asked("/token") == []


def test_no_secret_is_readable_in_the_store_or_the_log(
    way: Way, service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    service.faults.assigned = "post"
    row = way.begin()
    address = sign_ins.jump(row)
    under_way = contents(tmp_path / "data") + caplog.text.encode()
    came = answer_of(service.walk(address))
    caplog.clear()  # what the browser of this test has said about its walk
    assert way.back(came).ended == "done"
    verifier = service.asked("/token")[0].form["code_verifier"]
    for secret in (*service.secrets, came["state"], came["code"], verifier):
        for where in (under_way, contents(tmp_path / "data"), caplog.text.encode(), rows().encode()):
            assert secret.encode() not in where


def contents(data: Path) -> bytes:
    return b"".join(file.read_bytes() for file in data.rglob("*") if file.is_file())


def rows() -> str:
    tables = (SignIn, Grant, OAuthClient, Connection, Integration, Entry)
    return repr([list(table.select().dicts()) for table in tables])


@pytest.mark.parametrize(
    "faults",
    [
        {"resource_metadata": "root"},
        {"challenge": "bare"},
        {"challenge": "none"},
        {"metadata": "oidc"},
        {"metadata": "inserted"},
        {"metadata": "oidc-inserted"},
        {"metadata": "appended"},
        {"resource_metadata": "missing", "challenge": "bare"},
        {"page": "query"},
        {"iss": "unpromised"},
        {
            "open_methods": (
                "server/discover",
                "initialize",
                "notifications/initialized",
                "ping",
                "tools/list",
            )
        },
        {"token": "form"},
        {"expires_in": "3600"},
        {"expires_in": None, "refresh_token": "never"},
        {"registration": "200"},
        {"registration": "nulls"},
        {"assigned": "basic"},
        {"assigned": "post"},
        {"assigned": "unnamed"},
        {"resource_rule": "require"},
        {"scopes": None, "resource_scopes": None},
    ],
    ids=repr,
)
def test_what_services_may_be_like(store: None, faults: dict[str, Any]) -> None:
    with authority(**faults) as service:
        integration = connected(service)
        assert integration.state == "connected"
        assert service.exchanges == 1


def test_the_scope_of_the_challenge_comes_before_the_one_of_the_metadata(store: None) -> None:
    with authority(challenge_scope="notes.read", scopes=("notes.read", "notes.write")) as service:
        connected(service)
        assert service.asked("/authorize")[0].query["scope"] == "notes.read"


def test_other_scopes_than_asked_are_what_counts(store: None) -> None:
    with authority(granted_scope="notes.read") as service:
        grant = Grant.of(connected(service))
        assert grant is not None and grant.scope == "notes.read"


def test_signing_in_again_keeps_what_there_was_until_it_has_worked(way: Way, service: Service) -> None:
    before = connected(service, "other")
    kept = Grant.of(before)
    service.faults.consent = "refuse"
    assert sign_in(service, before).ended == "refused"
    assert kept is not None and Grant.of(before) == kept
    assert integrations.find("other").state == "connected"
    service.faults.consent = "allow"
    assert sign_in(service, before).ended == "done"
    fresh = Grant.of(before)
    assert fresh is not None and fresh.version == kept.version + 1
    assert Grant.select().where(Grant.integration == before).count() == 1
    assert service.registrations == 1, "the same client again"


# Refused before the browser is sent anywhere


@pytest.mark.parametrize(
    ("faults", "kind", "words"),
    [
        ({"pkce": "plain"}, BadReply, "PKCE"),
        ({"pkce": "silent"}, BadReply, "PKCE"),
        ({"resource_metadata": "elsewhere"}, BadReply, "other.example"),
        (
            {"resource_metadata": "elsewhere", "resource": "http://127.0.0.1:1/mcp"},
            BadReply,
            "another server",
        ),
        ({"resource_metadata": "trouble"}, Unreachable, "500"),
        ({"resource_metadata": "missing", "metadata": "missing"}, BadReply, "sign-in"),
        ({"resource_metadata": "missing", "metadata": "missing", "challenge": "none"}, BadReply, "OAuth"),
        ({"metadata": "missing"}, BadReply, "describe itself"),
        ({"metadata": "trouble"}, Unreachable, "500"),
        ({"issuer": "https://evil.example"}, BadReply, "evil.example"),
        ({"page": "http"}, EgressDenied, "http://"),
        ({"page": "javascript"}, BadReply, ""),
        ({"page": "userinfo"}, BadReply, "evil.example"),
        ({"registration": "refused"}, ClientWanted, "Only partners"),
        ({"registration": "trouble"}, Unreachable, "503"),
        ({"registration": "nonsense"}, ClientWanted, ""),
        ({"registration": "odd_method", "assigned": "basic"}, ClientWanted, "private_key_jwt"),
        ({"registration": "redirect"}, ClientWanted, ""),
        ({"registration": "absent"}, ClientWanted, "client id"),
        ({"lures": {"authorization_servers": "decoy"}}, EgressDenied, ""),
        ({"lures": {"resource_metadata": "decoy"}}, EgressDenied, ""),
        ({"lures": {"token_endpoint": "decoy"}}, EgressDenied, ""),
        ({"lures": {"registration_endpoint": "decoy"}}, EgressDenied, ""),
        ({"lures": {"token_endpoint": "link-local"}}, EgressDenied, "169.254.169.254"),
        ({"lures": {"authorization_servers": "private"}}, EgressDenied, "10.0.0.1"),
    ],
    ids=repr,
)
def test_stopped_before_the_jump(
    store: None, faults: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with authority(**faults) as service:
        way = Way(service, draft(service), *somebody())
        with pytest.raises(kind) as refusal:
            way.begin()
        error: Any = refusal.value
        assert words in error.what and error.next_step
        assert service.asked("/token") == service.asked("/authorize") == []
        assert service.decoy_hits == []
        assert nothing_gained()
        assert SignIn.select().count() == OAuthClient.select().count() == 0


def test_the_path_s_own_metadata_about_another_server_is_not_used(store: None) -> None:
    """Without an announcement it is as if there were none: whatever goes on, it is never about the other server."""
    with authority(resource_metadata="elsewhere", challenge="bare") as service:
        try:
            connected(service)
        except UpstreamError as refusal:
            assert refusal.next_step
        sent = [ask.query for ask in service.asked("/authorize")] + [
            ask.form for ask in service.asked("/token")
        ]
        assert all(ask["resource"] == service.mcp_url for ask in sent)


def test_only_admins_sign_in(store: None, service: Service) -> None:
    integration = draft(service)
    for role in ("technician", "viewer"):
        with pytest.raises(Forbidden):
            Way(service, integration, *somebody(role)).begin()
    assert service.seen == []


def test_nobody_else_sees_a_sign_in(way: Way) -> None:
    row = way.begin()
    assert sign_ins.find(row.id, way.session).id == row.id
    for session in (somebody()[1], somebody("viewer")[1]):
        with pytest.raises(NotFound):
            sign_ins.find(row.id, session)
    with pytest.raises(NotFound):
        sign_ins.find("no-such-sign-in", way.session)


# The way back


@pytest.mark.parametrize("consent", ["allow", "refuse"])
@pytest.mark.parametrize("iss", ["wrong", "missing", "unpromised-wrong"])
def test_an_answer_of_another_issuer_is_not_believed(
    way: Way, service: Service, iss: str, consent: str
) -> None:
    """RFC 9207: not even when it says no."""
    service.faults.iss, service.faults.consent = iss, consent  # type: ignore[assignment]
    service.faults.consent_description = "a reason of theirs"
    row = way.back(way.walked())
    assert row.ended == "failed"
    assert "did not come from the sign-in service" in row.problem["what"] and row.problem["next_step"]
    assert "a reason of theirs" not in repr(row.problem)
    assert service.asked("/token") == [] and nothing_gained()
    assert len(refusals()) == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [("/", "a slash more"), ("upper", "other letters"), ("path", "a tenant of it"), ("empty", "empty")],
)
def test_the_issuer_is_compared_letter_by_letter(way: Way, service: Service, change: str, why: str) -> None:
    answer = way.walked()
    right = answer["iss"]
    answer["iss"] = {"/": right + "/", "upper": right.upper(), "path": right + "/tenant", "empty": ""}[change]
    assert way.back(answer).ended == "failed", why
    assert service.asked("/token") == [] and nothing_gained()


@pytest.mark.parametrize(
    "code", ["access_denied", "server_error", "invalid_scope", "consent_required", POISON]
)
def test_a_refusal_of_the_page_is_told_and_nothing_asked(way: Way, service: Service, code: str) -> None:
    answer = way.walked()
    del answer["code"]
    row = way.back(answer | {"error": code, "error_description": POISON, "error_uri": "javascript:alert(1)"})
    assert row.ended == ("refused" if code == "access_denied" else "failed")
    assert row.problem["what"] and row.problem["next_step"]
    assert "javascript" not in repr(row.problem)
    assert max(map(len, row.problem.values())) < 600
    assert service.asked("/token") == [] and nothing_gained()
    assert len(refusals()) == 1


def test_an_error_comes_before_a_code(way: Way, service: Service) -> None:
    row = way.back(way.walked() | {"error": "access_denied"})
    assert row.ended == "refused"
    assert service.asked("/token") == [] and nothing_gained()


def test_neither_code_nor_error(way: Way, service: Service) -> None:
    answer = way.walked()
    del answer["code"]
    row = way.back(answer)
    assert row.ended == "failed" and row.problem["next_step"]
    assert service.asked("/token") == [] and nothing_gained()


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"token": "error200"}, "bad_verification_code"),
        ({"token": "html"}, "not with a token"),
        ({"token": "no_token"}, "not with a token"),
        ({"token": "cut"}, ""),
        ({"token": "huge"}, ""),
        ({"token": "redirect"}, ""),
        ({"token_status": 503, "token_troubles": 9}, "503"),
        ({"token_status": 500, "token_troubles": 9}, "500"),
        ({"resource_rule": "refuse"}, "invalid_target"),
    ],
    ids=repr,
)
def test_an_exchange_that_fails_keeps_nothing(
    way: Way, service: Service, faults: dict[str, Any], words: str
) -> None:
    answer = way.walked()
    for name, value in faults.items():
        setattr(service.faults, name, value)
    row = way.back(answer)
    assert row.ended == "failed" and words in row.problem["what"] and row.problem["next_step"]
    assert row.verifier is None
    assert len(service.asked("/token")) == 1 and service.decoy_hits == []
    assert nothing_gained() and len(refusals()) == 1
    assert not [secret for secret in service.secrets if secret in rows()]
    with pytest.raises(NotThisOne):
        way.back(answer)
    assert len(service.asked("/token")) == 1


def test_a_client_the_service_has_forgotten_is_registered_anew(way: Way, service: Service) -> None:
    answer = way.walked()
    service.forget_clients()
    assert way.back(answer).ended == "failed"
    assert sign_in(service, way.integration).ended == "done"
    assert service.registrations == 2


# The state


def test_a_way_back_works_once(way: Way, service: Service) -> None:
    answer = way.walked()
    assert way.back(answer).ended == "done"
    with pytest.raises(NotThisOne) as refusal:
        way.back(answer)
    assert refusal.value.reason in ("used", "unknown") and refusal.value.next_step
    assert service.exchanges == 1 and len(refusals()) == 1
    assert integrations.find("notes").state == "connected"


def test_two_at_once_exchange_once(way: Way, service: Service, tmp_path: Path) -> None:
    answer = way.walked()
    service.faults.hold = gate = threading.Event()

    def back() -> str:
        with database.connection_context():
            try:
                return str(way.back(answer).ended)
            except NotThisOne as refusal:
                return refusal.reason

    with ThreadPoolExecutor(4) as pool:
        under_way = [pool.submit(back) for _ in range(4)]
        assert service.arrived.wait(60)
        gate.set()
        ends = sorted(one.result(20) for one in under_way)
    assert ends.count("done") == 1
    assert service.exchanges == 1
    assert service.ledger.families[-1].alive


def test_of_two_that_read_it_at_once_one_takes_it(way: Way) -> None:
    """As two workers do, before either has written anything."""
    way.walked()
    first, second = SignIn.get(), SignIn.get()
    assert [sign_ins._why_not(row, way.session) for row in (first, second)] == ["", "used"]


@pytest.mark.parametrize("state", ["", "guess", POISON, "x" * 100_000])
def test_a_state_nobody_gave_out(way: Way, service: Service, state: str) -> None:
    answer = way.walked()
    for wrong in ({"state": state}, {}):
        with pytest.raises(NotThisOne) as refusal:
            way.back({name: answer[name] for name in answer if name != "state"} | wrong)
        assert refusal.value.reason == "unknown" and refusal.value.next_step
    assert service.asked("/token") == [] and nothing_gained()
    assert len(refusals()) == 2
    assert way.back(answer).ended == "done", "the right one still works"


def test_another_browser_can_not_finish_it_nor_spoil_it(way: Way, service: Service) -> None:
    answer = way.walked()
    for session in (somebody()[1], somebody("viewer")[1], None):
        with pytest.raises(NotThisOne) as refusal:
            sign_ins.come_back(answer, session, way.actor)
        assert refusal.value.reason == "elsewhere" and refusal.value.next_step
    assert service.asked("/token") == [] and nothing_gained()
    assert len(refusals()) == 3
    assert way.back(answer).ended == "done"


def test_signed_out_meanwhile(way: Way, service: Service) -> None:
    answer = way.walked()
    Session.delete().where(Session.id == way.session.id).execute()
    with pytest.raises(NotThisOne):
        sign_ins.come_back(answer, None, way.actor)
    with pytest.raises(NotThisOne):
        sign_ins.come_back(answer, somebody()[1], way.actor)
    assert service.asked("/token") == [] and nothing_gained()


def test_no_longer_an_admin(way: Way, service: Service) -> None:
    answer = way.walked()
    demoted = Actor(way.actor.kind, way.actor.name, way.actor.id, "technician")
    row = sign_ins.come_back(answer, way.session, demoted)
    assert row.ended == "failed" and row.problem["what"]
    assert service.asked("/token") == [] and nothing_gained()


def test_ten_minutes_are_enough(way: Way, service: Service) -> None:
    row = way.begin()
    answer = answer_of(service.walk(sign_ins.jump(row)))
    left = SignIn.get_by_id(row.id).expires_at - now()
    assert timedelta(minutes=9) < left <= timedelta(minutes=10)
    with writing():
        SignIn.update(expires_at=now() - timedelta(seconds=1)).where(SignIn.id == row.id).execute()
    with pytest.raises(NotThisOne) as refusal:
        way.back(answer)
    assert refusal.value.reason == "expired"
    with pytest.raises(Stale):
        sign_ins.jump(SignIn.get_by_id(row.id))
    assert service.asked("/token") == [] and nothing_gained() and len(refusals()) == 1


def test_nobody_jumps_twice_over_a_finished_sign_in(way: Way, service: Service) -> None:
    done = way.back(way.walked())
    with pytest.raises(Stale) as refusal:
        sign_ins.jump(done)
    assert refusal.value.next_step


def disconnected(way: Way) -> None:
    Integration.delete().where(Integration.id == way.integration.id).execute()


def moved_elsewhere(way: Way) -> None:
    integrations.change_draft(way.integration, "https://other.example/mcp", "notes", way.actor)


def another_client(way: Way) -> None:
    OAuthClient.delete().execute()


@pytest.mark.parametrize("fault", ["", "error200"])
@pytest.mark.parametrize("meanwhile", [disconnected, moved_elsewhere, another_client])
def test_changed_while_the_service_was_asked(
    way: Way, service: Service, meanwhile: Callable[[Way], None], fault: str
) -> None:
    """Nothing comes back to life, no token is kept for another address, and whichever way the service answers, it is
    a refusal in words."""
    answer = way.walked()
    service.faults.token, service.faults.hold = fault, threading.Event()  # type: ignore[assignment]

    def back() -> SignIn:
        with database.connection_context():
            return way.back(answer)

    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(back)
        assert service.arrived.wait(60)
        meanwhile(way)
        service.faults.hold.set()
        try:
            assert under_way.result(20).problem["what"]
        except Refused as refusal:
            assert refusal.what and refusal.next_step
    assert Grant.select().count() == Connection.select().count() == 0
    assert {row.state for row in Integration.select()} <= {"draft"}


# Another sign-in service


@pytest.fixture
def other() -> Iterator[Service]:
    with authority(assigned="basic") as one:
        yield one


def moved(way: Way, other: Service) -> None:
    """The server now names another sign-in service."""
    integrations.allow_private(way.integration, other.allowance(), COMMAND)
    way.service.faults.authorization_servers = [other.issuer]
    other.faults.resources = (way.service.mcp_url,)


def shown_to(service: Service) -> str:
    return repr([(ask.query, ask.headers, ask.body) for ask in service.seen])


def test_a_registration_is_never_shown_to_another_service(way: Way, service: Service, other: Service) -> None:
    service.faults.assigned = "basic"
    assert sign_in(service, way.integration).ended == "done"
    first = OAuthClient.get()
    moved(way, other)
    row = way.begin()
    assert row.request["before"] == service.issuer, "the page tells that it is another one"
    assert (service.registrations, other.registrations) == (1, 1)
    client = row.client
    assert client.client_id != first.client_id and client.issuer == other.issuer
    seen = shown_to(other)
    assert not [secret for secret in service.secrets if secret in seen] and first.client_id not in seen
    assert OAuthClient.select().count() == 2, "the first one is in use until the new sign-in has worked"
    assert way.back(answer_of(other.walk(sign_ins.jump(row)))).ended == "done"
    assert OAuthClient.get() == client and OAuthClient.select().count() == 1


def test_an_entered_client_is_never_shown_to_another_service(
    way: Way, service: Service, other: Service
) -> None:
    client = service.client("basic", BACK)
    registrations.enter(way.integration, service.issuer, client.client_id, client.secret, BACK, way.actor)
    assert sign_in(service, way.integration).ended == "done"
    moved(way, other)
    with pytest.raises(InvalidInput) as refusal:
        way.begin()
    assert service.issuer in refusal.value.what and other.issuer in refusal.value.what
    assert refusal.value.next_step
    assert other.asked("/token") == other.asked("/authorize") == other.asked("/register") == []
    assert client.secret not in shown_to(other) and client.client_id not in shown_to(other)
    assert Grant.select().count() == 1 and integrations.find("notes").state == "connected"


def test_the_service_in_use_stays_while_the_server_still_names_it(
    way: Way, service: Service, other: Service
) -> None:
    assert sign_in(service, way.integration).ended == "done"
    moved(way, other)
    service.faults.authorization_servers = [other.issuer, service.issuer]
    assert way.begin().issuer == service.issuer
    assert other.seen == []


def test_what_a_service_publishes_after_the_beginning_changes_nothing(way: Way, service: Service) -> None:
    answer = way.walked()
    service.faults.lures = {"token_endpoint": "decoy"}
    service.faults.issuer = "https://evil.example"
    assert way.back(answer).ended == "done"
    assert service.decoy_hits == []


def test_an_exception_for_one_server_opens_nothing_for_another(store: None, service: Service) -> None:
    with authority(authorization_servers=[service.issuer]) as public:
        way = Way(public, draft(public, "notes"), *somebody())
        draft(service, "inside")
        with pytest.raises(EgressDenied):
            way.begin()
    assert service.seen == []


# Who we are


@pytest.mark.parametrize("method", ["none", "basic", "post"])
def test_a_client_from_the_vendor(way: Way, service: Service, method: str) -> None:
    service.faults.registration = "absent"
    service.faults.auth_methods = {
        "none": ("none",), "basic": ("client_secret_basic", "client_secret_post"), "post": ("client_secret_post",)
    }[method]  # fmt: skip
    with pytest.raises(ClientWanted):
        way.begin()
    client = service.client(method, BACK)
    registrations.enter(
        way.integration, service.issuer, f" {client.client_id}\n", client.secret, BACK, way.actor
    )
    assert sign_in(service, way.integration).ended == "done"
    assert OAuthClient.get().kind == "manual"


def test_a_secret_is_taken_letter_by_letter(way: Way, service: Service) -> None:
    """No name of a variable in it becomes that variable's value."""
    literal = "${GATEHOUSE_SECRET_KEY} $HOME %(x)s {{7*7}}"
    service.ledger.clients["${HOME}"] = RegisteredClient("${HOME}", literal, "post", (BACK,))
    service.faults.auth_methods = ("client_secret_post",)
    registrations.enter(way.integration, service.issuer, "${HOME}", literal, BACK, way.actor)
    dialects.change(way.integration, way.actor, extra_scope="${HOME}")
    service.faults.scopes = None
    assert sign_in(service, integrations.find("notes")).ended == "done"
    (sent,) = service.asked("/token")
    assert (sent.form["client_id"], sent.form["client_secret"]) == ("${HOME}", literal)
    assert "${HOME}" in service.asked("/authorize")[0].query["scope"].split()


def test_a_replaced_client_ends_sign_ins_under_way_without_a_request(way: Way, service: Service) -> None:
    answer = way.walked()
    OAuthClient.delete().execute()
    row = way.back(answer)
    assert row.ended == "failed" and row.problem["next_step"]
    assert service.asked("/token") == [] and nothing_gained()


@pytest.mark.parametrize("public", ["https://gate.example.com", "https://gate.office.lan", ""])
def test_our_own_document_is_the_client_id_only_where_it_can_be_fetched(
    way: Way, service: Service, public: str
) -> None:
    identity.configure(Config(public_url=public))
    service.faults.client_documents = True
    row = way.begin(Route(public or "http://localhost:8000"))
    if public == "https://gate.example.com":
        assert (row.client.kind, row.client.client_id) == ("cimd", CIMD)
        assert service.registrations == 0
        service.publish_client(CIMD, identity.document())
        back = service.walk(sign_ins.jump(row))
        assert back.startswith("https://gate.example.com/oauth/callback?")
        assert way.back(answer_of(back)).ended == "done"
        assert service.asked("/token")[0].form["client_id"] == CIMD
    else:
        assert row.client.kind == "dcr" and service.registrations == 1


def test_a_registration_is_used_again_for_the_same_return_address_only(way: Way, service: Service) -> None:
    first, second = way.begin().client, way.begin().client
    assert first == second and service.registrations == 1
    third = way.begin(Route("http://localhost:9000")).client
    assert third != first and service.registrations == 2


def test_a_secret_that_has_run_out_is_not_used_again(way: Way, service: Service) -> None:
    service.faults.assigned = "basic"
    service.faults.secret_expires_at = int(now().timestamp()) + 30 * 86400
    first = way.begin().client
    with writing():
        OAuthClient.update(secret_expires_at=now() - timedelta(days=1)).execute()
    assert way.begin().client != first and service.registrations == 2


# Switches


def test_a_service_silent_about_pkce_by_an_admins_word_only(way: Way, service: Service) -> None:
    service.faults.pkce = "silent"
    dialects.change(way.integration, way.actor, pkce_unannounced=True)
    assert sign_in(service, integrations.find("notes")).ended == "done"
    assert service.asked("/authorize")[0].query["code_challenge_method"] == "S256"
    service.faults.pkce = "plain"
    with pytest.raises(BadReply) as refusal:
        way.begin()
    assert "PKCE" in refusal.value.what, "what is said outright is never overruled"


def test_the_resource_left_out(way: Way, service: Service) -> None:
    service.faults.resource_rule = "refuse"
    row = way.back(way.walked())
    assert "Under Advanced, leave the resource out" in row.problem["next_step"]
    dialects.change(way.integration, way.actor, send_resource=False)
    assert sign_in(service, integrations.find("notes")).ended == "done"
    assert "resource" not in service.asked("/token")[-1].form


def test_another_name_for_the_resource(way: Way, service: Service) -> None:
    service.faults.resources = ("api://notes-0123",)
    dialects.change(way.integration, way.actor, other_resource=" api://notes-0123 ")
    assert sign_in(service, integrations.find("notes")).ended == "done"
    asked = service.asked("/authorize")[-1].query, service.asked("/token")[-1].form
    assert [one["resource"] for one in asked] == ["api://notes-0123"] * 2
    assert Grant.get().resource == "api://notes-0123"


@pytest.mark.parametrize(
    "name", ["notes", "https://a.example/#x", "api://a b", "//x", "x" * 600, "http://[", "a:\x00"]
)
def test_names_that_are_no_resource_are_refused(way: Way, name: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        dialects.change(way.integration, way.actor, other_resource=name)
    assert refusal.value.field == "other_resource" and refusal.value.next_step
    assert dialects.of(integrations.find("notes")).other_resource == ""


def test_extra_scopes(way: Way, service: Service) -> None:
    service.faults.scopes = ("notes.read", "notes.write", "admin", "offline_access")
    dialects.change(way.integration, way.actor, extra_scope=" admin  notes.read ")
    assert sign_in(service, integrations.find("notes")).ended == "done"
    asked = service.asked("/authorize")[0].query["scope"].split()
    assert sorted(asked) == ["admin", "notes.read", "notes.write", "offline_access"]
    with pytest.raises(InvalidInput):
        dialects.change(way.integration, way.actor, extra_scope='two"words')


def test_introduced_by_hand_even_where_registration_is_open(way: Way, service: Service) -> None:
    dialects.change(way.integration, way.actor, introduce="manual")
    with pytest.raises(ClientWanted):
        way.begin()
    assert service.registrations == 0


def test_old_servers_without_any_metadata(way: Way, service: Service) -> None:
    service.faults.resource_metadata = service.faults.metadata = "missing"
    service.faults.challenge, service.faults.iss = "bare", "unpromised"
    with pytest.raises(BadReply) as refusal:
        way.begin()
    assert "Advanced" in refusal.value.next_step
    dialects.change(way.integration, way.actor, old_endpoints=True)
    assert sign_in(service, integrations.find("notes")).ended == "done"


def test_more_access_asks_for_the_union(way: Way, service: Service) -> None:
    service.faults.resource_scopes = ("notes.read",)
    assert sign_in(service, way.integration).ended == "done"
    with writing():
        Grant.update(needed_scope="notes.write").execute()
    assert sign_in(service, way.integration, wish="more").ended == "done"
    asked = service.asked("/authorize")[-1].query["scope"].split()
    assert sorted(asked) == ["notes.read", "notes.write", "offline_access"]
    grant = Grant.of(way.integration)
    assert grant is not None and grant.needed_scope == ""
