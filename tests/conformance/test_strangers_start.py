"""The ground under the journeys: every stranger works for the Python SDK's own client, without Gatehouse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
)
from playwright.sync_api import Page, sync_playwright
from pydantic import AnyUrl
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.browser.visitor import launch
from tests.conformance.strangers import TOOLS, Stranger
from tests.conformance.strangers.pages import stay_here
from tests.conformance.strangers.walk import walk
from tests.house import served

RETURN = "http://127.0.0.1:65535/oauth/callback"
ALLOW = ("Allow", "Sign-in", "Continue")
ANN = "ann@example.com"
GRANTS = ["authorization_code", "refresh_token"]
REFUSE = ("Refuse", "[ Cancel ]")


@pytest.fixture(params=["python_sdk", "typescript_sdk", "oidc_registering", "oidc_by_hand"])
def stranger(request: pytest.FixtureRequest) -> Stranger:
    if request.param == "oidc_by_hand":
        start: Callable[[str], Stranger] = request.getfixturevalue("oidc_by_hand")
        return start(RETURN)
    found: Stranger = request.getfixturevalue(request.param)
    return found


@dataclass
class Guest:
    """The SDK's client and its memory; `choices` is what the person presses on the pages."""

    stranger: Stranger
    choices: tuple[str, ...] = ALLOW
    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    came_back: httpx2.QueryParams = field(default_factory=httpx2.QueryParams)

    def __post_init__(self) -> None:
        if self.stranger.client_id:
            self.client = OAuthClientInformationFull(
                client_id=self.stranger.client_id,
                client_secret=self.stranger.client_secret,
                redirect_uris=[AnyUrl(RETURN)],
                token_endpoint_auth_method="client_secret_basic",
                issuer=self.stranger.issuer,
            )
        described = OAuthClientMetadata(
            redirect_uris=[AnyUrl(RETURN)],
            client_name="A guest",
            application_type="native",
            token_endpoint_auth_method="client_secret_post",
        )
        url = self.stranger.mcp_url
        self.auth = OAuthClientProvider(url, described, self, self.go, self.come_back)

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info

    async def go(self, authorization_url: str) -> None:
        self.asked.append(dict(httpx2.URL(authorization_url).params))
        back = await asyncio.to_thread(walk, authorization_url, RETURN, ANN, *self.choices)
        self.came_back = back.params

    async def come_back(self) -> AuthorizationCodeResult:
        said = self.came_back
        return AuthorizationCodeResult(
            code=said.get("code", ""), state=said.get("state"), iss=said.get("iss")
        )

    async def calls(self, *calls: tuple[str, dict[str, Any]]) -> list[str]:
        """Lists the tools, then calls some; the texts they answer with."""
        async with httpx2.AsyncClient(auth=self.auth, trust_env=False, timeout=60) as http:
            transport = streamable_http_client(self.stranger.mcp_url, http_client=http)
            async with Client(transport, mode="legacy") as client:
                listed = await client.list_tools()
                assert {tool.name for tool in listed.tools} == TOOLS
                answers = [await client.call_tool(name, arguments) for name, arguments in calls]
        return [str(getattr(answer.content[0], "text", "")) for answer in answers]

    def forgets_time(self) -> None:
        """Takes its access token for an ended one, so that it renews before the next call."""
        self.auth.context.token_expiry_time = 1.0

    def registers_anew(self) -> None:
        """Before the next sign-in, with the scopes that are wanted by then."""
        self.auth.context.client_info = None

    @property
    def metadata(self) -> OAuthMetadata:
        assert self.auth.context.oauth_metadata
        return self.auth.context.oauth_metadata

    @property
    def refresh_token(self) -> str:
        assert self.tokens and self.tokens.refresh_token
        return self.tokens.refresh_token

    @property
    def access_token(self) -> str:
        assert self.tokens
        return self.tokens.access_token

    def tell(self, endpoint: object, **form: str) -> httpx2.Response:
        """Posts to an endpoint of the service as the client that is registered there."""
        assert self.client
        credentials = {
            "client_id": str(self.client.client_id),
            "client_secret": self.client.client_secret or "",
        }
        if self.client.token_endpoint_auth_method == "client_secret_basic":
            del credentials["client_secret"]
        data, headers = self.auth.context.prepare_token_auth(form | credentials)
        return httpx2.post(str(endpoint), data=data, headers=headers, timeout=60, trust_env=False)

    def renew(self, token: str) -> httpx2.Response:
        return self.tell(self.metadata.token_endpoint, grant_type="refresh_token", refresh_token=token)

    def knock(self) -> httpx2.Response:
        """A call with the access token that it has, whatever has become of that."""
        headers = {
            "authorization": f"Bearer {self.access_token}",
            "accept": "application/json, text/event-stream",
        }
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_notes"}}
        return httpx2.post(self.stranger.mcp_url, json=message, headers=headers, timeout=60, trust_env=False)


def test_a_stranger_asks_for_a_sign_in_and_says_where(stranger: Stranger) -> None:
    answer = httpx2.post(stranger.mcp_url, json={}, timeout=60, trust_env=False)
    assert answer.status_code == 401
    assert "resource_metadata=" in answer.headers["www-authenticate"]


def test_a_guest_signs_in_and_is_known_by_name(stranger: Stranger) -> None:
    guest = Guest(stranger)
    assert asyncio.run(guest.calls(("who_am_i", {}))) == [ANN]
    assert all(asked["code_challenge_method"] == "S256" for asked in guest.asked)
    assert all(asked["resource"] == stranger.mcp_url for asked in guest.asked)


def test_tokens_are_renewed_and_each_refresh_token_works_once(stranger: Stranger) -> None:
    guest = Guest(stranger)

    async def twice() -> list[str]:
        await guest.calls()
        first.extend([guest.access_token, guest.refresh_token])
        guest.forgets_time()
        return await guest.calls(("who_am_i", {}))

    first: list[str] = []
    assert asyncio.run(twice()) == [ANN]
    assert len(guest.asked) == 1, "it was renewed, not signed in anew"
    assert {guest.access_token, guest.refresh_token}.isdisjoint(first)
    again = guest.renew(first[1])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    after = guest.renew(guest.refresh_token)
    assert after.json()["error"] == "invalid_grant", "using one twice ends the whole grant"


def test_a_grant_that_is_revoked_is_over(stranger: Stranger) -> None:
    guest = Guest(stranger)
    asyncio.run(guest.calls())
    assert guest.knock().status_code != 401
    revoked = guest.tell(guest.metadata.revocation_endpoint, token=guest.refresh_token)
    assert revoked.status_code == 200, revoked.text
    assert guest.renew(guest.refresh_token).json()["error"] == "invalid_grant"
    is_jwt = guest.access_token.count(".") == 2
    assert (guest.knock().status_code == 401) is not is_jwt, "a JWT is good until it ends"


def test_somebody_who_refuses_is_sent_back_with_that(stranger: Stranger) -> None:
    guest = Guest(stranger, REFUSE)
    with pytest.raises(ExceptionGroup):
        asyncio.run(guest.calls())
    assert guest.came_back["error"] == "access_denied"
    assert guest.came_back["state"] == guest.asked[0]["state"]
    assert guest.tokens is None


def test_no_page_sends_anybody_to_another_return_address(stranger: Stranger) -> None:
    guest = Guest(stranger)
    asyncio.run(guest.calls())
    elsewhere = guest.asked[0] | {"redirect_uri": "http://127.0.0.1:65535/elsewhere"}
    answer = httpx2.get(
        str(guest.metadata.authorization_endpoint), params=elsewhere, timeout=60, trust_env=False
    )
    assert answer.status_code == 400


@pytest.mark.parametrize("stranger", ["python_sdk", "oidc_by_hand"], indirect=True)
def test_where_metadata_names_all_scopes_one_sign_in_is_enough_to_write(stranger: Stranger) -> None:
    guest = Guest(stranger)
    written, read = asyncio.run(guest.calls(("add_note", {"text": "Milk"}), ("list_notes", {})))
    assert written.startswith("Written")
    assert "Milk" in read
    assert len(guest.asked) == 1


@pytest.mark.parametrize("stranger", ["typescript_sdk", "oidc_registering"], indirect=True)
def test_where_the_challenge_names_the_scope_writing_asks_for_more(stranger: Stranger) -> None:
    guest = Guest(stranger)

    async def read_then_write() -> list[str]:
        await guest.calls(("list_notes", {}))
        guest.registers_anew()
        return await guest.calls(("add_note", {"text": "Eggs"}), ("list_notes", {}))

    _, read = asyncio.run(read_then_write())
    assert "Eggs" in read
    first, second = (set(asked["scope"].split()) for asked in guest.asked)
    assert "notes:write" not in first
    assert second == first | {"notes:write"}


@pytest.mark.parametrize("stranger", ["oidc_registering"], indirect=True)
def test_oidc_provider_holds_a_client_to_the_scopes_that_it_registered_with(stranger: Stranger) -> None:
    guest = Guest(stranger)
    with pytest.raises(ExceptionGroup):
        asyncio.run(guest.calls(("add_note", {"text": "Ham"})))
    assert guest.came_back["error"] == "invalid_scope"


@pytest.mark.parametrize("stranger", ["oidc_by_hand"], indirect=True)
def test_what_is_known_by_hand_registers_nobody_else(stranger: Stranger) -> None:
    guest = Guest(stranger)
    asyncio.run(guest.calls())
    assert guest.metadata.registration_endpoint is None
    assert httpx2.post(f"{stranger.issuer}/reg", json={}, timeout=60, trust_env=False).status_code == 404


def beginning(stranger: Stranger, return_address: str) -> str:
    """An address that a browser could be sent to, for a client that is registered for this."""
    known = f"{stranger.issuer.rstrip('/')}/.well-known/oauth-authorization-server"
    metadata = httpx2.get(known, timeout=60, trust_env=False).json()
    scope = " ".join(metadata["scopes_supported"])
    wanted = {"redirect_uris": [return_address], "scope": scope, "grant_types": GRANTS}
    client = httpx2.post(metadata["registration_endpoint"], json=wanted, timeout=60, trust_env=False).json()
    asked = {"client_id": client["client_id"], "response_type": "code", "redirect_uri": return_address}
    asked |= {"scope": scope, "prompt": "consent", "resource": stranger.mcp_url, "state": "mine"}
    asked |= {"code_challenge": "x" * 43, "code_challenge_method": "S256"}
    return str(httpx2.URL(metadata["authorization_endpoint"], params=asked))


@pytest.fixture
def return_address() -> Iterator[str]:
    with served(Starlette(routes=[Route("/callback", lambda _: PlainTextResponse("Back."))])) as url:
        yield f"{url}/callback"


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright, launch(playwright) as browser, browser.new_context() as context:
        context.set_default_timeout(60_000)
        stay_here(context)
        yield context.new_page()


def test_a_person_in_a_browser_refuses_and_allows(
    page: Page,
    return_address: str,
    python_sdk: Stranger,
    typescript_sdk: Stranger,
    oidc_registering: Stranger,
) -> None:
    def answer() -> httpx2.QueryParams:
        page.wait_for_url(f"{return_address}?**")
        return httpx2.URL(page.url).params

    for stranger in (python_sdk, typescript_sdk, oidc_registering):
        address = beginning(stranger, return_address)
        page.goto(address)
        stranger.page.refuse(page)
        assert answer()["error"] == "access_denied"
        for _ in range(2):  # the second time, oidc-provider knows who it is
            page.goto(address)
            stranger.page.allow(page, ANN)
            assert {"code", "state"} <= answer().keys()
