"""The practice server's OAuth door from outside: a client that does all by hand, and the SDK's own client."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from flask import Flask
from joserfc import jwt
from joserfc.jwk import KeySet
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthMetadata, OAuthToken
from mcp.shared.auth import ProtectedResourceMetadata as ResourceMetadata

from tests.house import served
from tests.routes.settings_house import checked
from tests.routes.visitors import Visitor
from webapp.practice import __main__ as command
from webapp.practice import create_app

# Loading certificate authorities for each plain HTTP request would take longer than the tests.
WEB = httpx2.Client(timeout=60, verify=False)
CALLBACK = "http://127.0.0.1:9/callback"
EVERYTHING = "desk:read desk:write openid offline_access"
LIST = ("list_tickets", {})
DELETE = ("delete_ticket", {"ticket_id": "T-1042"})


@dataclass
class Clock:
    """Seconds since 1970, as the practice server sees them."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()


@pytest.fixture(scope="module")
def running() -> Iterator[str]:
    with served(create_app(now=CLOCK)) as url:
        yield url


@pytest.fixture
def door(running: str) -> Door:
    """A client that has not introduced itself yet, at a practice server that was just reset."""
    assert WEB.post(f"{running}/reset").status_code == 303
    return Door(running)


@dataclass
class Door:
    """A client of the door, with what it has got so far."""

    base: str
    client: dict[str, Any] = field(default_factory=dict)
    verifier: str = "v" * 43
    tokens: dict[str, Any] = field(default_factory=dict)

    @property
    def mcp(self) -> str:
        return f"{self.base}/oauth/mcp"

    @property
    def state(self) -> dict[str, Any]:
        said: dict[str, Any] = WEB.get(f"{self.base}/state").json()["oauth"]
        return said

    def press(self, button: str) -> None:
        assert WEB.post(f"{self.base}/{button}").status_code == 303

    def register(self, **wanted: Any) -> httpx2.Response:
        metadata = {
            "client_name": "Test client",
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        } | wanted
        reply = WEB.post(f"{self.base}/oauth/register", json=metadata)
        self.client = reply.json() if reply.status_code == 201 else {}
        return reply

    def question(self, **changed: str | None) -> dict[str, str]:
        """The parameters of an authorization request; None takes one away."""
        challenge = (
            base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).decode().rstrip("=")
        )
        usual = {
            "response_type": "code",
            "client_id": self.client["client_id"],
            "redirect_uri": CALLBACK,
            "scope": EVERYTHING,
            "state": 'a "state" & more',
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "resource": self.mcp,
        }
        return {name: value for name, value in (usual | changed).items() if value is not None}

    def page(self, **changed: str | None) -> httpx2.Response:
        return WEB.get(f"{self.base}/oauth/authorize", params=self.question(**changed))

    def decide(
        self,
        decision: str = "allow",
        ticked: str = EVERYTHING,
        headers: dict[str, str] | None = None,
        **changed: Any,
    ) -> httpx2.Response:
        return WEB.post(
            f"{self.base}/oauth/authorize",
            params=self.question(**changed),
            data={"decision": decision, "scope": ticked.split()},
            headers=headers or {},
        )

    def code(self, **how: Any) -> str:
        return told(self.decide(**how))["code"]

    def ask_token(self, path: str = "token", **form: str) -> httpx2.Response:
        auth = None
        if self.client["token_endpoint_auth_method"] == "client_secret_basic":
            auth = (self.client["client_id"], self.client["client_secret"])
        else:
            form = {"client_id": self.client["client_id"]} | form
        if self.client["token_endpoint_auth_method"] == "client_secret_post":
            form = {"client_secret": self.client["client_secret"]} | form
        return WEB.post(f"{self.base}/oauth/{path}", data=form, auth=auth)

    def exchange(self, code: str, /, **changed: str | None) -> httpx2.Response:
        usual = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": self.verifier,
            "resource": self.mcp,
        }
        return self.ask_token(
            **{name: value for name, value in (usual | changed).items() if value is not None}
        )

    def refresh(self, token: str, **more: str) -> httpx2.Response:
        return self.ask_token(grant_type="refresh_token", refresh_token=token, **more)

    def sign_in(self, *, ticked: str = EVERYTHING, scope: str = EVERYTHING, **wanted: Any) -> dict[str, Any]:
        assert self.register(**wanted).status_code == 201
        reply = self.exchange(self.code(ticked=ticked, scope=scope))
        assert reply.status_code == 200, reply.text
        self.tokens = reply.json()
        return self.tokens

    def call(self, tool: str, arguments: dict[str, Any], token: str | None = None) -> httpx2.Response:
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
        body = message | {"params": {"name": tool, "arguments": arguments}}
        return self.knock(body, token)

    def knock(self, body: Any, token: str | None = None) -> httpx2.Response:
        token = self.tokens.get("access_token", "") if token is None else token
        headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
        return WEB.post(
            self.mcp, json=body, headers=headers | ({"Authorization": f"Bearer {token}"} if token else {})
        )

    def calls_that_ran(self) -> dict[str, int]:
        ran: dict[str, int] = WEB.get(f"{self.base}/state").json()["calls"]
        return ran


def told(reply: httpx2.Response) -> dict[str, str]:
    """What the browser carries back to the client."""
    assert reply.status_code == 303, reply.text
    address, _, query = reply.headers["location"].partition("?")
    assert address == CALLBACK
    return dict(parse_qsl(query, strict_parsing=True))


def challenge(reply: httpx2.Response) -> dict[str, str]:
    scheme, _, rest = reply.headers["www-authenticate"].partition(" ")
    assert scheme == "Bearer"
    return {name: value.strip('"') for name, _, value in (part.partition("=") for part in rest.split(", "))}


def refused(reply: httpx2.Response, error: str, status: int = 400) -> None:
    assert (reply.status_code, reply.json()["error"]) == (status, error)
    assert reply.headers["cache-control"] == "no-store"


# Discovery


def test_the_door_says_where_to_sign_in(door: Door) -> None:
    reply = door.call(*LIST)
    where = f"{door.base}/.well-known/oauth-protected-resource/oauth/mcp"
    assert reply.status_code == 401
    assert challenge(reply) == {"resource_metadata": where, "scope": "desk:read desk:write openid"}
    resource = ResourceMetadata.model_validate_json(WEB.get(where).content)
    assert (str(resource.resource), list(map(str, resource.authorization_servers))) == (
        door.mcp,
        [f"{door.base}/oauth"],
    )


@pytest.mark.parametrize(
    "path", ["/.well-known/oauth-authorization-server/oauth", "/oauth/.well-known/openid-configuration"]
)
def test_the_sign_in_service_says_what_it_can(door: Door, path: str) -> None:
    said = OAuthMetadata.model_validate_json(WEB.get(door.base + path).content)
    assert str(said.issuer) == f"{door.base}/oauth"
    assert said.code_challenge_methods_supported == ["S256"]
    assert said.authorization_response_iss_parameter_supported is True
    assert said.scopes_supported == EVERYTHING.split()
    endpoints = (
        said.authorization_endpoint, said.token_endpoint, said.registration_endpoint, said.revocation_endpoint,
    )  # fmt: skip
    assert [urlsplit(str(endpoint)).path for endpoint in endpoints] == [
        "/oauth/authorize", "/oauth/token", "/oauth/register", "/oauth/revoke",
    ]  # fmt: skip


def test_under_another_name_it_is_another_issuer(door: Door) -> None:
    name = door.base.replace("127.0.0.1", "localhost")
    said = WEB.get(f"{name}/.well-known/oauth-authorization-server/oauth").json()
    assert (said["issuer"], said["token_endpoint"]) == (f"{name}/oauth", f"{name}/oauth/token")
    door.sign_in()
    door.base = name
    assert door.call(*LIST).status_code == 401


def test_a_wrong_token_is_told_so(door: Door) -> None:
    for token in ("wrong", "practice-token"):
        assert challenge(door.call(*LIST, token))["error"] == "invalid_token"
    assert door.calls_that_ran() == {}


# Registration


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
def test_clients_sign_in_at_the_token_endpoint_as_they_registered(door: Door, method: str) -> None:
    door.sign_in(token_endpoint_auth_method=method)
    assert door.call(*LIST).status_code == 200
    assert ("client_secret" in door.client) == (method != "none")
    assert door.client.get("client_secret_expires_at") == (None if method == "none" else 0)
    other = {"none", "client_secret_basic", "client_secret_post"} - {method}
    for wrong in sorted(other):
        door.client |= {
            "token_endpoint_auth_method": wrong,
            "client_secret": door.client.get("client_secret", "x"),
        }
        assert door.refresh(door.tokens["refresh_token"]).json()["error"] == "invalid_client"
    assert door.state["refreshes"] == 0


def test_a_wrong_secret_is_refused(door: Door) -> None:
    door.register(token_endpoint_auth_method="client_secret_basic")
    code = door.code()
    door.client["client_secret"] += "x"
    refused(door.exchange(code), "invalid_client", 401)


@pytest.mark.parametrize(
    "uri",
    [
        "http://evil.example/callback",
        "http://127.0.0.1.evil.example/callback",
        "http://localhost@evil.example/callback",
        "https://a:b@evil.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "myapp://callback",
        "/callback",
        "https:///callback",
        "http://127.0.0.1:99999/",
        "https://client.example/#fragment",
        "https://client.example/ü",
        "https://client.example/\r\nX: y",
        "https://client.example/;form-action *",
        "",
    ],
)
def test_return_addresses_that_could_leak_the_code_are_refused(door: Door, uri: str) -> None:
    refused(door.register(redirect_uris=[CALLBACK, uri]), "invalid_redirect_uri")


@pytest.mark.parametrize(
    "uri", ["https://client.example/cb?x=1", "http://localhost:8000/cb", "http://[::1]:8000/cb"]
)
def test_usual_return_addresses_are_taken(door: Door, uri: str) -> None:
    assert door.register(redirect_uris=[uri]).json()["redirect_uris"] == [uri]
    assert door.page(redirect_uri=uri).status_code == 200


@pytest.mark.parametrize(
    "wanted",
    [
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"grant_types": ["client_credentials"]},
        {"response_types": ["token"]},
        {"client_name": "x" * 101},
        {"client_name": "x" * 70_000},
        {"scope": 7},
    ],
)
def test_clients_of_another_kind_are_refused(door: Door, wanted: dict[str, Any]) -> None:
    refused(door.register(**wanted), "invalid_client_metadata")
    assert door.state["clients"] == []


def test_a_registration_must_be_json(door: Door) -> None:
    for body in (b"", b"[]", b"null", b'{"redirect_uris": []}', b"\xff"):
        assert WEB.post(f"{door.base}/oauth/register", content=body).status_code == 400


# The consent page


def test_the_consent_page_names_the_client_the_return_address_and_the_rights(door: Door) -> None:
    door.register(client_name="<script>alert(1)</script> & Co")
    page = door.page()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Co" in page.text and "<script" not in page.text
    assert f"<code>{CALLBACK}</code>" in page.text
    assert "Read tickets and devices" in page.text and "Change tickets" in page.text
    assert "pat@practice.example" in page.text
    assert ">Allow</button>" in page.text and ">Refuse</button>" in page.text


def test_the_consent_page_is_locked_down(door: Door) -> None:
    door.register()
    page = door.page()
    policy = page.headers["content-security-policy"]
    assert policy == (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' http://127.0.0.1:9; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    assert (page.headers["x-content-type-options"], page.headers["cache-control"]) == ("nosniff", "no-store")
    assert " style=" not in page.text and "<style" not in page.text


def test_allowing_gives_a_code_the_state_and_the_issuer(door: Door) -> None:
    door.register()
    answer = told(door.decide())
    assert answer.keys() == {"code", "state", "iss"}
    assert (answer["state"], answer["iss"]) == ('a "state" & more', f"{door.base}/oauth")


def test_a_return_address_keeps_its_own_query(door: Door) -> None:
    uri = "https://client.example/cb?a=1&b=%2F"
    door.register(redirect_uris=[uri])
    assert door.decide(redirect_uri=uri).headers["location"].startswith(f"{uri}&code=")


@pytest.mark.parametrize("decision", ["refuse", "", "ALLOW"])
def test_refusing_gives_an_error_and_nothing_else(door: Door, decision: str) -> None:
    door.register()
    answer = told(door.decide(decision))
    assert (answer["error"], answer["state"]) == ("access_denied", 'a "state" & more')
    assert answer["iss"] == f"{door.base}/oauth" and "code" not in answer
    assert door.state["grants"] == []


@pytest.mark.parametrize(
    ("asked", "ticked", "granted"),
    [
        (EVERYTHING, EVERYTHING, EVERYTHING),
        (EVERYTHING, "offline_access", "desk:read openid offline_access"),
        (EVERYTHING, "", "desk:read openid"),
        ("desk:read", EVERYTHING, "desk:read"),
        ("desk:read desk:read", "", "desk:read"),
        ("", "", "desk:read"),
    ],
)
def test_the_person_can_grant_less_but_never_more_than_asked(
    door: Door, asked: str, ticked: str, granted: str
) -> None:
    tokens = door.sign_in(scope=asked, ticked=ticked)
    assert tokens["scope"] == granted
    assert ("refresh_token" in tokens) == ("offline_access" in granted)
    assert ("id_token" in tokens) == ("openid" in granted)


def test_allowing_nothing_is_a_refusal(door: Door) -> None:
    door.register()
    assert told(door.decide(scope="desk:write", ticked=""))["error"] == "access_denied"


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://evil.example"}],
)
def test_allow_pressed_from_another_site_does_nothing(door: Door, headers: dict[str, str]) -> None:
    door.register()
    reply = door.decide(headers=headers)
    assert (reply.status_code, "location" in reply.headers) == (403, False)
    assert "from another site" in reply.text


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"resource": "http://127.0.0.1:1/oauth/mcp"}, "invalid_target"),
        ({"scope": "desk:read desk:admin"}, "invalid_scope"),
        ({"prompt": "none"}, "consent_required"),
    ],
)
def test_requests_that_cannot_be_granted_go_back_with_the_reason(
    door: Door, changed: dict[str, Any], error: str
) -> None:
    door.register()
    for answer in (told(door.page(**changed)), told(door.decide(**changed))):
        assert (answer["error"], answer["iss"]) == (error, f"{door.base}/oauth")
        assert answer["state"] == 'a "state" & more' and "code" not in answer


def test_scopes_a_client_did_not_register_for_are_refused(door: Door) -> None:
    assert door.register(scope="desk:read and:more").json()["scope"] == "desk:read"
    assert told(door.page(scope="desk:read desk:write"))["error"] == "invalid_scope"


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uri": "http://127.0.0.1:9/callback/"},
        {"redirect_uri": "http://127.0.0.1:9/Callback"},
        {"redirect_uri": "http://127.0.0.1:10/callback"},
        {"redirect_uri": "http://localhost:9/callback"},
        {"redirect_uri": "http://127.0.0.1:9/callback?x=1"},
        {"redirect_uri": "https://evil.example/\"'<ü"},
        {"client_id": "unknown"},
        {"client_id": None},
        {"response_type": 'ü"'},
    ],
)
def test_nobody_is_sent_to_an_address_that_is_not_registered(door: Door, changed: dict[str, Any]) -> None:
    door.register()
    for reply in (door.page(**changed), door.decide(**changed)):
        assert (reply.status_code, "location" in reply.headers) == (400, False)
        assert "can’t go on" in reply.text and "<ü" not in reply.text


def test_without_a_return_address_the_only_one_is_meant(door: Door) -> None:
    door.register()
    code = door.code(redirect_uri=None)
    assert door.exchange(code).status_code == 200


# Codes


def test_a_code_becomes_tokens(door: Door) -> None:
    tokens = door.sign_in()
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 60, EVERYTHING)
    assert door.call(*LIST).status_code == 200


def test_a_code_works_once_and_its_second_use_ends_what_the_first_gave(door: Door) -> None:
    door.register()
    code = door.code()
    door.tokens = door.exchange(code).json()
    assert door.call(*LIST).status_code == 200
    refused(door.exchange(code), "invalid_grant")
    assert door.call(*LIST).status_code == 401
    refused(door.refresh(door.tokens["refresh_token"]), "invalid_grant")
    assert door.state["codes_used_twice"] == 1
    assert door.state["grants"][0]["ended"] == "its code was used twice"


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": "short"}, "invalid_request"),
        ({"redirect_uri": CALLBACK + "/"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"resource": "http://127.0.0.1:1/oauth/mcp"}, "invalid_target"),
        ({"resource": "http://ü/"}, "invalid_target"),
        ({"code": None}, "invalid_request"),
        ({"code": "wrong"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": 'ü"'}, "invalid_request"),
    ],
)
@pytest.mark.parametrize("method", ["none", "client_secret_basic"])
def test_codes_come_with_everything_right_or_not_at_all(
    door: Door, changed: dict[str, Any], error: str, method: str
) -> None:
    door.register(token_endpoint_auth_method=method)
    reply = door.exchange(door.code(), **changed)
    assert (reply.status_code, reply.json()["error"]) == (400, error)
    assert door.state["grants"] == []


def test_a_failed_try_spends_the_code(door: Door) -> None:
    door.register()
    code = door.code()
    refused(door.exchange(code, code_verifier="w" * 43), "invalid_grant")
    refused(door.exchange(code), "invalid_grant")


@pytest.mark.parametrize(("seconds", "status"), [(59, 200), (60, 400), (4000, 400)])
def test_a_code_lives_a_minute(
    door: Door, monkeypatch: pytest.MonkeyPatch, seconds: int, status: int
) -> None:
    door.register()
    code = door.code()
    monkeypatch.setattr(CLOCK, "now", CLOCK.now + seconds)
    assert door.exchange(code).status_code == status


def test_a_code_is_worth_nothing_to_another_client(door: Door) -> None:
    door.register()
    code, owner = door.code(), door.client
    door.register()
    refused(door.exchange(code), "invalid_grant")
    door.client = owner
    assert door.exchange(code).status_code == 200


# Tokens


def test_access_tokens_are_short_lived(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    door.sign_in()
    began = CLOCK.now
    monkeypatch.setattr(CLOCK, "now", began + 59)
    assert door.call(*LIST).status_code == 200
    monkeypatch.setattr(CLOCK, "now", began + 60)
    reply = door.call(*LIST)
    assert (reply.status_code, challenge(reply)["error"]) == (401, "invalid_token")
    assert (door.state["live_access_tokens"], door.state["live_refresh_tokens"]) == (0, 1)
    assert door.refresh(door.tokens["refresh_token"]).status_code == 200


def test_refreshing_rotates(door: Door) -> None:
    first = door.sign_in()
    second = door.refresh(first["refresh_token"], resource=door.mcp).json()
    assert {first["access_token"], first["refresh_token"]}.isdisjoint(
        {second["access_token"], second["refresh_token"]}
    )
    assert second["scope"] == EVERYTHING
    door.tokens = door.refresh(second["refresh_token"]).json()
    assert door.call(*LIST).status_code == 200
    assert (door.state["refreshes"], door.state["live_refresh_tokens"]) == (2, 1)


def test_a_used_refresh_token_ends_the_whole_family(door: Door) -> None:
    first = door.sign_in()
    door.tokens = door.refresh(first["refresh_token"]).json()
    refused(door.refresh(first["refresh_token"]), "invalid_grant")
    refused(door.refresh(door.tokens["refresh_token"]), "invalid_grant")
    assert door.call(*LIST).status_code == 401
    said = door.state
    assert (said["reuse_detected"], said["live_access_tokens"], said["live_refresh_tokens"]) == (1, 0, 0)
    assert said["grants"][0]["ended"] == "a refresh token was used twice"


def test_another_family_survives_a_reuse(door: Door) -> None:
    first = door.sign_in()
    other = door.exchange(door.code()).json()
    door.refresh(first["refresh_token"])
    door.refresh(first["refresh_token"])
    assert door.call(*LIST, other["access_token"]).status_code == 200


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"scope": EVERYTHING + " email"}, "invalid_scope"),
        ({"resource": "http://127.0.0.1:1/oauth/mcp"}, "invalid_target"),
    ],
)
def test_a_refused_refresh_spends_nothing(door: Door, more: dict[str, str], error: str) -> None:
    tokens = door.sign_in()
    assert door.refresh(tokens["refresh_token"], **more).json()["error"] == error
    assert door.refresh(tokens["refresh_token"]).status_code == 200


def test_a_refresh_can_ask_for_less(door: Door) -> None:
    door.tokens = door.refresh(door.sign_in()["refresh_token"], scope="desk:read").json()
    assert door.tokens["scope"] == "desk:read"
    assert door.call(*DELETE).status_code == 403
    assert door.refresh(door.tokens["refresh_token"]).json()["scope"] == EVERYTHING


def test_tokens_are_not_interchangeable(door: Door) -> None:
    tokens = door.sign_in()
    assert door.call(*LIST, tokens["refresh_token"]).status_code == 401
    refused(door.refresh(tokens["access_token"]), "invalid_grant")
    owner = door.client
    door.register()
    refused(door.refresh(tokens["refresh_token"]), "invalid_grant")
    door.client = owner
    assert door.refresh(tokens["refresh_token"]).status_code == 200
    assert door.state["reuse_detected"] == 0


def test_a_client_that_does_not_refresh_gets_no_refresh_token(door: Door) -> None:
    assert "refresh_token" not in door.sign_in(grant_types=["authorization_code"])


# Step-up


@pytest.mark.parametrize(
    "body",
    [
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "delete_ticket"}},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "email_invoice"}},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": ["list_tickets"]}},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call"},
        [
            {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
            {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "delete_ticket"}},
        ],
        "tools/call",
    ],
)
def test_writes_need_their_own_scope(door: Door, body: Any) -> None:
    door.sign_in(ticked="")
    reply = door.knock(body)
    said = challenge(reply)
    assert (reply.status_code, said["error"], said["scope"]) == (403, "insufficient_scope", "desk:write")
    assert said["resource_metadata"].endswith("/.well-known/oauth-protected-resource/oauth/mcp")
    assert door.calls_that_ran() == {}


def test_reads_run_without_it_and_writes_with_it(door: Door) -> None:
    door.sign_in(ticked="")
    assert "T-1042" in door.call(*LIST).text
    assert door.call(*DELETE).status_code == 403
    door.tokens = door.exchange(door.code()).json()
    assert "Deleted T-1042" in door.call(*DELETE).text
    assert door.calls_that_ran() == {"list_tickets": 1, "delete_ticket": 1}


def test_reading_needs_a_scope_too(door: Door) -> None:
    door.sign_in(scope="openid")
    reply = door.call(*LIST)
    assert (reply.status_code, challenge(reply)["scope"]) == (403, "desk:read")
    assert challenge(door.call(*DELETE))["scope"] == "desk:read desk:write"


# Who has signed in


def test_the_id_token_and_userinfo_name_the_account(door: Door) -> None:
    door.register()
    tokens = door.exchange(door.code(nonce="n-1")).json()
    keys = KeySet.import_key_set(WEB.get(f"{door.base}/oauth/jwks").json())
    claims = jwt.decode(tokens["id_token"], keys, algorithms=["RS256"]).claims
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (
        f"{door.base}/oauth", door.client["client_id"], "n-1",
    )  # fmt: skip
    assert (claims["email"], claims["sub"]) == ("pat@practice.example", "pat")
    userinfo = f"{door.base}/oauth/userinfo"
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert WEB.get(userinfo, headers=bearer).json()["email"] == "pat@practice.example"
    assert WEB.get(userinfo).status_code == 401


def test_the_keys_are_public_ones(door: Door) -> None:
    [key] = WEB.get(f"{door.base}/oauth/jwks").json()["keys"]
    assert key.keys() == {"kty", "n", "e", "alg", "use", "kid"}


def test_userinfo_needs_openid(door: Door) -> None:
    tokens = door.sign_in(scope="desk:read")
    reply = WEB.get(
        f"{door.base}/oauth/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}
    )
    assert (reply.status_code, challenge(reply)["scope"]) == (403, "openid")


# Revocation and the buttons


def test_revoking_the_refresh_token_ends_the_sign_in(door: Door) -> None:
    tokens = door.sign_in(token_endpoint_auth_method="client_secret_basic")
    for _ in range(2):
        reply = door.ask_token("revoke", token=tokens["refresh_token"], token_type_hint="refresh_token")
        assert reply.status_code == 200
    assert door.call(*LIST).status_code == 401
    refused(door.refresh(tokens["refresh_token"]), "invalid_grant")
    assert door.state["grants"][0]["ended"] == "revoked by the client"
    assert door.state["reuse_detected"] == 0


def test_revoking_the_access_token_leaves_the_refresh_token(door: Door) -> None:
    tokens = door.sign_in()
    assert door.ask_token("revoke", token=tokens["access_token"]).status_code == 200
    assert door.call(*LIST).status_code == 401
    assert door.refresh(tokens["refresh_token"]).status_code == 200


def test_revoking_what_is_unknown_is_fine_and_what_is_anothers_is_not(door: Door) -> None:
    tokens = door.sign_in()
    assert door.ask_token("revoke", token="unknown").status_code == 200
    door.register()
    refused(door.ask_token("revoke", token=tokens["refresh_token"]), "invalid_grant")
    assert door.call(*LIST).status_code == 200


def test_expire_my_tokens_stops_access_but_not_refreshing(door: Door) -> None:
    tokens = door.sign_in()
    door.press("expire")
    reply = door.call(*LIST)
    assert (reply.status_code, challenge(reply)["error"]) == (401, "invalid_token")
    door.tokens = door.refresh(tokens["refresh_token"]).json()
    assert door.call(*LIST).status_code == 200


def test_revoke_me_ends_every_sign_in(door: Door) -> None:
    tokens = door.sign_in()
    code = door.code()
    door.press("revoke-me")
    assert door.call(*LIST).status_code == 401
    refused(door.refresh(tokens["refresh_token"]), "invalid_grant")
    refused(door.exchange(code), "invalid_grant")
    assert door.state["grants"][0]["ended"] == "revoked here"
    assert door.exchange(door.code()).status_code == 200


def test_reset_forgets_clients_and_tokens(door: Door) -> None:
    tokens = door.sign_in()
    key = WEB.get(f"{door.base}/oauth/jwks").json()
    door.press("reset")
    assert door.call(*LIST).status_code == 401
    assert door.refresh(tokens["refresh_token"]).json()["error"] == "invalid_client"
    assert door.page().status_code == 400
    said = door.state
    assert (said["clients"], said["grants"], said["refreshes"]) == ([], [], 0)
    assert WEB.get(f"{door.base}/oauth/jwks").json() == key


@pytest.mark.parametrize("button", ["expire", "revoke-me"])
def test_buttons_obey_only_their_own_page(door: Door, button: str) -> None:
    door.sign_in()
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}):
        assert WEB.post(f"{door.base}/{button}", headers=headers).status_code == 403
    assert WEB.get(f"{door.base}/{button}").status_code == 405
    assert door.call(*LIST).status_code == 200


def test_the_page_shows_what_was_issued_and_no_secret(door: Door) -> None:
    tokens = door.sign_in(client_name="<i>Gatehouse", token_endpoint_auth_method="client_secret_post")
    door.refresh(tokens["refresh_token"])
    door.refresh(tokens["refresh_token"])
    page, state = WEB.get(door.base).text, WEB.get(f"{door.base}/state").text
    assert "Expire my tokens" in page and "Revoke me" in page and f"{door.base}/oauth/mcp" in page
    assert "&lt;i&gt;Gatehouse" in page and "Refresh tokens used twice: 1" in page
    for secret in (tokens["access_token"], tokens["refresh_token"], door.client["client_secret"]):
        assert secret not in page and secret not in state


def test_old_clients_make_room(door: Door) -> None:
    door.register(client_name="The first")
    for _ in range(100):
        assert door.register().status_code == 201
    names = {client["name"] for client in door.state["clients"]}
    assert (len(door.state["clients"]), names) == (100, {"Test client"})


# The other doors


def test_tokens_of_this_door_open_no_other(door: Door) -> None:
    token = door.sign_in()["access_token"]
    reply = WEB.post(f"{door.base}/bearer/mcp", json={}, headers={"Authorization": f"Bearer {token}"})
    assert reply.status_code == 401


@pytest.mark.parametrize(
    "path", ["/authorize", "/token", "/register", "/.well-known/oauth-authorization-server"]
)
def test_the_root_has_no_sign_in_service(door: Door, path: str) -> None:
    assert WEB.get(door.base + path).status_code == 404


# The command


@pytest.mark.parametrize("seconds", ["0", "-1", "1.5", "soon", "", "86401"])
def test_a_token_life_that_is_none_is_said_in_one_line(seconds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRACTICE_PORT", "0")
    monkeypatch.setenv("PRACTICE_TOKEN_SECONDS", seconds)
    with pytest.raises(SystemExit, match="^PRACTICE_TOKEN_SECONDS must be a whole number"):
        command.main()


def test_the_life_of_tokens_can_be_set() -> None:
    with served(create_app(token_seconds=7)) as url:
        assert Door(url).sign_in()["expires_in"] == 7


# The SDK's client, all by itself


@dataclass
class Memory:
    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Person:
    """At a browser: allows what `ticks` says, one visit after the other."""

    def __init__(self, *ticks: str) -> None:
        self.ticks = list(ticks)
        self.answer = ""

    async def visit(self, url: str) -> None:
        async with httpx2.AsyncClient(timeout=60, verify=False) as http:
            assert (await http.get(url)).status_code == 200
            ticked = self.ticks.pop(0).split()
            reply = await http.post(url, data={"decision": "allow", "scope": ticked})
        self.answer = reply.headers["location"]

    async def come_back(self) -> AuthorizationCodeResult:
        answer = dict(parse_qsl(urlsplit(self.answer).query))
        return AuthorizationCodeResult(code=answer["code"], state=answer["state"], iss=answer["iss"])


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_sdk_client_connects_steps_up_and_refreshes(door: Door, mode: str) -> None:
    person, memory = Person("offline_access", EVERYTHING), Memory()
    metadata = OAuthClientMetadata.model_validate({"client_name": "SDK", "redirect_uris": [CALLBACK]})
    provider = OAuthClientProvider(door.mcp, metadata, memory, person.visit, person.come_back)

    async def journey() -> tuple[str, str]:
        async with httpx2.AsyncClient(auth=provider, timeout=60, verify=False) as http:
            async with Client(streamable_http_client(door.mcp, http_client=http), mode=mode) as client:
                await client.call_tool(*LIST)
                assert memory.tokens is not None and "desk:write" not in str(memory.tokens.scope)
                first = memory.tokens.access_token
                await client.call_tool(*DELETE)
                provider.context.token_expiry_time = 1
                await client.call_tool(*LIST)
                return first, memory.tokens.access_token

    first, last = asyncio.run(journey())
    assert first != last and person.ticks == []
    assert door.calls_that_ran() == {"list_tickets": 2, "delete_ticket": 1}
    said = door.state
    assert [(grant["scope"], grant["refreshes"]) for grant in said["grants"]] == [
        (EVERYTHING, 1),
        ("desk:read openid offline_access", 0),
    ]
    assert said["clients"][0]["name"] == "SDK"


def test_the_sdk_client_signs_in_again_after_revoke_me(door: Door) -> None:
    person, memory = Person(EVERYTHING, EVERYTHING), Memory()
    metadata = OAuthClientMetadata.model_validate({"client_name": "SDK", "redirect_uris": [CALLBACK]})
    provider = OAuthClientProvider(door.mcp, metadata, memory, person.visit, person.come_back)

    async def journey() -> None:
        async with httpx2.AsyncClient(auth=provider, timeout=60, verify=False) as http:
            async with Client(streamable_http_client(door.mcp, http_client=http)) as client:
                await client.call_tool(*LIST)
                await http.post(f"{door.base}/revoke-me", auth=None)
                await client.call_tool(*LIST)

    asyncio.run(journey())
    assert person.ticks == []
    assert [grant["ended"] for grant in door.state["grants"]] == ["", "revoked here"]


# Gatehouse's own button for it


def test_gatehouse_connects_this_door_with_one_button(door: Door, app: Flask, admin: Visitor) -> None:
    object.__setattr__(app.extensions["gatehouse"], "practice_url", door.base)
    assert "Connect it with OAuth" in admin.get("/settings/integrations")
    reply = admin.post("/settings/integrations/practice", door="oauth")
    assert (reply.status_code, reply.location) == (303, "/settings/integrations/practice-oauth/setup/check")
    verdict = checked("practice-oauth").verdict
    assert verdict is not None and verdict.oauth is not None
    assert (verdict.url, verdict.sign_in, verdict.oauth["issuer"]) == (
        door.mcp,
        "oauth",
        f"{door.base}/oauth",
    )
    assert verdict.oauth["scope"] == EVERYTHING
