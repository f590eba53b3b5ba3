"""The fake vendor itself: it keeps to the specifications, and breaks them exactly as ordered."""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

import httpx2
import pytest

from tests.authority import Service, authority
from tests.authority.ledger import RegisteredClient
from tests.authority.wire import challenge_of
from tests.house import last_message

BACK = "http://localhost:8000/oauth/callback"
VERIFIER = "v" * 43


@dataclass
class Walker:
    """A client of the strictest kind, by hand."""

    service: Service
    client: RegisteredClient

    def address(self, **changes: str) -> str:
        asked = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": BACK,
            "scope": "notes.read offline_access",
            "state": "s1",
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
            "resource": self.service.mcp_url,
        } | changes
        page = urlsplit(document(self.service)["authorization_endpoint"])
        joined = "&".join(filter(None, (page.query, urlencode({k: v for k, v in asked.items() if v}))))
        return page._replace(query=joined).geturl()

    def consent(self, **changes: str) -> dict[str, str]:
        back = self.service.walk(self.address(**changes))
        assert back.startswith(BACK + "?")
        return {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}

    def post(self, path: str = "/token", **form: str) -> httpx2.Response:
        headers = {}
        match self.client.method:
            case "basic":
                pair = f"{quote_plus(self.client.client_id)}:{quote_plus(self.client.secret)}"
                headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
            case "post":
                form = {"client_id": self.client.client_id, "client_secret": self.client.secret} | form
            case _:
                form = {"client_id": self.client.client_id} | form
        sent = {name: value for name, value in form.items() if value}
        return httpx2.post(
            self.service.origin + path, data=sent, headers=headers, timeout=60, trust_env=False
        )

    def exchange(self, code: str, **changes: str) -> httpx2.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": BACK,
            "code_verifier": VERIFIER,
            "resource": self.service.mcp_url,
        }
        return self.post(**(form | changes))

    def refresh(self, token: str, **changes: str) -> httpx2.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token, "resource": self.service.mcp_url}
        return self.post(**(form | changes))

    def signed_in(self) -> dict[str, Any]:
        answer = self.exchange(self.consent()["code"])
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens


def walker(service: Service, method: str = "none") -> Walker:
    return Walker(service, service.client(method, BACK))


def get(url: str) -> httpx2.Response:
    return httpx2.get(url, timeout=60, trust_env=False)


def document(service: Service, path: str = "/.well-known/oauth-authorization-server") -> dict[str, Any]:
    answer = get(service.origin + path)
    assert answer.status_code == 200, path
    found: dict[str, Any] = answer.json()
    return found


def call(service: Service, token: str, tool: str = "read_note", **arguments: str) -> httpx2.Response:
    headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    params = {"name": tool, "arguments": arguments or {"name": "milk"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return httpx2.post(service.mcp_url, json=message, headers=headers, timeout=60, trust_env=False)


def test_from_the_challenge_to_a_call() -> None:
    with authority(email="ops@example.com") as service:
        challenge = call(service, "").headers["www-authenticate"]
        announced = challenge.split('resource_metadata="')[1].split('"')[0]
        resource = get(announced).json()
        assert resource["resource"] == service.mcp_url
        assert resource["authorization_servers"] == [service.issuer]
        registration = {"redirect_uris": [BACK], "token_endpoint_auth_method": "client_secret_basic"}
        answer = httpx2.post(
            document(service)["registration_endpoint"], json=registration, timeout=60, trust_env=False
        )
        assert answer.status_code == 201
        given = answer.json()
        visitor = Walker(service, RegisteredClient(given["client_id"], given["client_secret"], "basic"))
        came = visitor.consent()
        assert (came["state"], came["iss"]) == ("s1", service.issuer)
        tokens = visitor.exchange(came["code"]).json()
        payload = tokens["id_token"].split(".")[1]
        assert json.loads(base64.urlsafe_b64decode(payload + "=="))["email"] == "ops@example.com"
        assert last_message(call(service, tokens["access_token"]))["result"]["content"][0]["text"]
        call(service, tokens["access_token"], "write_note", text="bread")
        assert service.written == ["bread"]
        assert (service.registrations, service.authorizations, service.exchanges) == (1, 1, 1)
        assert service.asked("/token")[0].form["code"] == came["code"]
        assert any(canary in tokens["access_token"] for canary in service.secrets)


@pytest.mark.parametrize("method", ["none", "basic", "post"])
def test_clients_say_who_they_are_in_their_own_way_only(method: str) -> None:
    with authority() as service:
        visitor = walker(service, method)
        assert visitor.signed_in()["access_token"]
        for other in {"none", "basic", "post"} - {method}:
            stranger = Walker(service, RegisteredClient(visitor.client.client_id, "guess", other))
            answer = stranger.exchange("x")
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_basic_without_form_encoding_is_refused() -> None:
    with authority() as service:
        client = service.client("basic", BACK)
        pair = base64.b64encode(f"{client.client_id}:{client.secret}".encode()).decode()
        headers = {"authorization": f"Basic {pair}"}
        answer = httpx2.post(
            service.origin + "/token", data={"grant_type": "x"}, headers=headers, timeout=60, trust_env=False
        )
        assert answer.json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"redirect_uri": "http://localhost:8000/elsewhere"}, "invalid_grant"),
        ({"resource": ""}, "invalid_target"),
        ({"resource": "https://other.example/mcp"}, "invalid_target"),
        ({"code": "guess"}, "invalid_grant"),
    ],
)
def test_a_code_is_bound_to_its_request(changes: dict[str, str], error: str) -> None:
    with authority() as service:
        visitor = walker(service)
        answer = visitor.exchange(**({"code": visitor.consent()["code"]} | changes))
        assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_a_code_works_once_and_its_second_use_ends_everything() -> None:
    with authority() as service:
        visitor, other = walker(service), walker(service)
        code = visitor.consent()["code"]
        assert other.exchange(code).json()["error"] == "invalid_grant"
        code = visitor.consent()["code"]
        token = visitor.exchange(code).json()["access_token"]
        assert call(service, token).status_code == 200
        assert visitor.exchange(code).json()["error"] == "invalid_grant"
        assert call(service, token).status_code == 401


@pytest.mark.parametrize("missing", ["code_challenge", "code_challenge_method"])
def test_no_code_without_pkce(missing: str) -> None:
    with authority() as service:
        assert walker(service).consent(**{missing: ""})["error"] == "invalid_request"


def test_strangers_are_never_redirected() -> None:
    with authority() as service:
        visitor = walker(service)
        for changes in ({"client_id": "nobody"}, {"redirect_uri": "https://evil.example/"}):
            assert get(visitor.address(**changes)).status_code == 400
        assert service.authorizations == 0


def test_rotation_notices_a_token_used_twice() -> None:
    with authority() as service:
        visitor = walker(service)
        first = visitor.signed_in()
        second = visitor.refresh(first["refresh_token"]).json()
        assert call(service, second["access_token"]).status_code == 200
        assert visitor.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
        assert service.reuse_detected == 1
        assert call(service, second["access_token"]).status_code == 401
        assert visitor.refresh(second["refresh_token"]).json()["error"] == "invalid_grant"
        assert (service.refreshes, service.reuse_detected) == (3, 1)


def test_without_rotation_the_first_refresh_token_stays() -> None:
    with authority(rotation=False) as service:
        visitor = walker(service)
        first = visitor.signed_in()
        for _ in range(2):
            again = visitor.refresh(first["refresh_token"]).json()
            assert "refresh_token" not in again and again["access_token"] != first["access_token"]


def test_tokens_end_by_order_and_by_revocation() -> None:
    with authority() as service:
        visitor = walker(service)
        tokens = visitor.signed_in()
        service.expire_access_tokens()
        assert call(service, tokens["access_token"]).status_code == 401
        tokens = visitor.refresh(tokens["refresh_token"]).json()
        assert visitor.post("/revoke", token=tokens["refresh_token"]).status_code == 200
        assert call(service, tokens["access_token"]).status_code == 401
        tokens = visitor.signed_in()
        service.revoke_grant()
        assert visitor.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
        assert service.revocations == 1


def test_a_tool_may_demand_more_scope() -> None:
    with authority() as service:
        visitor = walker(service)
        service.demand_scope("write_note", "notes.write")
        token = visitor.signed_in()["access_token"]
        refused = call(service, token, "write_note", text="x")
        assert refused.status_code == 403
        challenge = refused.headers["www-authenticate"]
        assert 'error="insufficient_scope"' in challenge and 'scope="notes.write"' in challenge
        assert call(service, token).status_code == 200
        code = visitor.consent(scope="notes.read notes.write")["code"]
        assert (
            call(service, visitor.exchange(code).json()["access_token"], "write_note", text="x").status_code
            == 200
        )
        service.faults.insatiable = True
        assert call(service, token, "write_note", text="x").status_code == 403
        assert service.written == ["x"]


@pytest.mark.parametrize(
    ("fault", "there"),
    [
        ("", "/.well-known/oauth-authorization-server"),
        ("oidc", "/.well-known/openid-configuration"),
        ("inserted", "/.well-known/oauth-authorization-server/tenant"),
        ("oidc-inserted", "/.well-known/openid-configuration/tenant"),
        ("appended", "/tenant/.well-known/openid-configuration"),
        ("missing", None),
    ],
)
def test_each_form_of_metadata_is_in_its_one_place(fault: str, there: str | None) -> None:
    known = {
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/tenant",
        "/.well-known/openid-configuration/tenant",
        "/tenant/.well-known/openid-configuration",
    }
    with authority(metadata=fault) as service:
        found = {path for path in known if get(service.origin + path).status_code == 200}
        assert found == ({there} if there else set())
        if there:
            assert document(service, there)["issuer"] == service.issuer


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [("", (200, 404)), ("missing", (404, 404)), ("root", (404, 200)), ("trouble", (500, 500))],
)
def test_resource_metadata_where_it_was_ordered(fault: str, statuses: tuple[int, int]) -> None:
    root = "/.well-known/oauth-protected-resource"
    with authority(resource_metadata=fault) as service:
        assert (
            get(f"{service.origin}{root}/mcp").status_code,
            get(service.origin + root).status_code,
        ) == statuses


def test_what_is_published_can_be_bent() -> None:
    with authority(resource_metadata="elsewhere", iss="unpromised", pkce="silent", page="query") as service:
        resource = document(service, "/.well-known/oauth-protected-resource/mcp")
        assert resource["resource"] == "https://other.example/mcp"
        published = document(service)
        assert "code_challenge_methods_supported" not in published
        assert "authorization_response_iss_parameter_supported" not in published
        assert "code" in walker(service).consent()
        for page, start in (
            ("http", "http://signin."),
            ("javascript", "javascript:"),
            ("userinfo", "https://si"),
        ):
            service.faults.page = page  # type: ignore[assignment]
            assert document(service)["authorization_endpoint"].startswith(start)
        service.faults.pkce, service.faults.issuer = "plain", "https://elsewhere.example"
        service.faults.lures = {
            "token_endpoint": "link-local",
            "jwks_uri": "decoy",
            "revocation_endpoint": "private",
        }
        published = document(service)
        assert published["code_challenge_methods_supported"] == ["plain"]
        assert published["issuer"] == "https://elsewhere.example"
        assert published["token_endpoint"].startswith("http://169.254.169.254/")
        assert published["revocation_endpoint"].startswith("http://10.0.0.1/")
        assert service.decoy_hits == []
        assert get(published["jwks_uri"]).status_code == 404
        assert service.decoy_hits == ["/jwks_uri"]


@pytest.mark.parametrize(
    ("iss", "sent"),
    [("right", True), ("wrong", "https://mix-up.example"), ("missing", None),
     ("unpromised", None), ("unpromised-wrong", "https://mix-up.example")],
)  # fmt: skip
@pytest.mark.parametrize("consent", ["allow", "refuse"])
def test_iss_on_success_and_refusal_alike(iss: str, sent: str | bool | None, consent: str) -> None:
    with authority(iss=iss, consent=consent) as service:
        came = walker(service).consent()
        assert came.get("iss") == (service.issuer if sent is True else sent)
        assert came.get("error") == (None if consent == "allow" else "access_denied")


@pytest.mark.parametrize(
    ("faults", "status", "there", "absent"),
    [
        ({"registration": "200"}, 200, {"client_id"}, {"client_secret"}),
        ({"registration": "nulls"}, 201, {"client_id", "client_secret", "jwks"}, set()),
        ({"registration": "refused"}, 400, {"error"}, set()),
        ({"assigned": "unnamed"}, 201, {"client_secret"}, {"token_endpoint_auth_method"}),
        ({"assigned": "post", "secret_expires_at": 1}, 201, {"client_secret", "client_secret_expires_at"}, set()),
    ],
)  # fmt: skip
def test_registrations_as_ordered(
    faults: dict[str, Any], status: int, there: set[str], absent: set[str]
) -> None:
    wanted = {"redirect_uris": [BACK], "token_endpoint_auth_method": "none"}
    with authority(**faults) as service:
        answer = httpx2.post(service.origin + "/register", json=wanted, timeout=60, trust_env=False)
        assert answer.status_code == status
        assert there <= set(answer.json()) and not absent & set(answer.json())


def test_no_registration_is_offered() -> None:
    with authority(registration="absent", client_documents=True) as service:
        published = document(service)
        assert "registration_endpoint" not in published
        assert published["client_id_metadata_document_supported"] is True
        address = "https://gate.example/client.json"
        service.publish_client(address, {"client_id": address, "redirect_uris": [BACK]})
        assert Walker(service, RegisteredClient(address, "", "none")).signed_in()["access_token"]


def test_token_answers_as_ordered() -> None:
    with authority(
        token="form", refresh_token="never", expires_in="3600", granted_scope="notes.read"
    ) as service:
        visitor = walker(service)
        answer = visitor.exchange(visitor.consent()["code"])
        assert answer.headers["content-type"].startswith("application/x-www-form-urlencoded")
        assert parse_qs(answer.text)["expires_in"] == ["3600"] and "refresh_token" not in answer.text
        assert parse_qs(answer.text)["scope"] == ["notes.read"]
        service.faults.token = "error200"
        answer = visitor.exchange(visitor.consent()["code"])
        assert (answer.status_code, "error" in answer.json()) == (200, True)
        service.faults.token, service.faults.expires_in = "", None
        assert "expires_in" not in visitor.signed_in()
        service.faults.refresh_token = "offline"
        assert "refresh_token" in visitor.signed_in()
        assert "refresh_token" not in visitor.exchange(visitor.consent(scope="notes.read")["code"]).json()
        service.faults.token = "huge"
        assert len(visitor.exchange(visitor.consent()["code"]).content) > 5_000_000


def test_trouble_comes_as_often_as_ordered_and_changes_nothing() -> None:
    with authority() as service:
        visitor = walker(service)
        code = visitor.consent()["code"]
        service.faults.token_status, service.faults.token_troubles = 503, 2
        assert [visitor.exchange(code).status_code for _ in range(3)] == [503, 503, 200]


def test_an_answer_that_breaks_off_has_changed_things() -> None:
    with authority() as service:
        visitor = walker(service)
        tokens = visitor.signed_in()
        service.faults.token = "cut"
        with pytest.raises(httpx2.RemoteProtocolError):
            visitor.refresh(tokens["refresh_token"])
        service.faults.token = ""
        assert visitor.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
        assert service.reuse_detected == 1


@pytest.mark.parametrize("fault", ["hold", "hold_answer"])
def test_a_slow_token_endpoint_waits_for_its_event(fault: str) -> None:
    with authority() as service, ThreadPoolExecutor(1) as pool:
        visitor, gate = walker(service), threading.Event()
        code = visitor.consent()["code"]
        setattr(service.faults, fault, gate)
        answer = pool.submit(visitor.exchange, code)
        try:
            assert service.arrived.wait(60)
            assert get(service.origin + "/.well-known/oauth-authorization-server").status_code == 200
            assert not answer.done()
        finally:
            gate.set()
        assert answer.result(5).status_code == 200


def test_resource_may_be_forbidden_or_demanded() -> None:
    with authority(resource_rule="refuse") as service:
        visitor = walker(service)
        assert visitor.consent()["error"] == "invalid_target"
        code = visitor.consent(resource="")["code"]
        assert call(service, visitor.exchange(code, resource="").json()["access_token"]).status_code == 200
        service.faults.resource_rule = "require"
        assert visitor.consent(resource="")["error"] == "invalid_target"


@pytest.mark.parametrize("code", ["invalid_grant", "invalid_client"])
def test_refreshing_may_be_refused(code: str) -> None:
    with authority() as service:
        visitor = walker(service)
        tokens = visitor.signed_in()
        service.faults.refresh_error = code
        answer = visitor.refresh(tokens["refresh_token"])
        assert (answer.status_code, answer.json()["error"]) == (
            401 if code == "invalid_client" else 400,
            code,
        )


def test_the_server_refuses_as_ordered() -> None:
    with authority(challenge="bare") as service:
        assert "resource_metadata" not in call(service, "").headers["www-authenticate"]
        service.faults.challenge = "none"
        assert "www-authenticate" not in call(service, "").headers
        token = walker(service).signed_in()["access_token"]
        service.faults.late_401 = True
        assert call(service, token, "write_note", text="late").status_code == 401
        assert service.written == ["late"]
        service.faults.always_401 = True
        assert call(service, token, "write_note", text="never").status_code == 401
        assert service.written == ["late"]
        service.faults.always_401 = service.faults.late_401 = False
        service.faults.open_methods = ("tools/call",)
        assert call(service, "").status_code == 200


@pytest.mark.parametrize(("fault", "status"), [("absent", 404), ("trouble", 503)])
def test_revocation_may_fail(fault: str, status: int) -> None:
    with authority(revocation=fault) as service:
        assert ("revocation_endpoint" in document(service)) == (fault != "absent")
        assert walker(service).post("/revoke", token="x").status_code == status
