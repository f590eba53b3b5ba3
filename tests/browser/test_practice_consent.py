"""The practice server's consent page in a browser: allow, refuse, grant less, with and without JavaScript."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

import httpx2
import pytest
from playwright.sync_api import Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.browser.visitor import Visitor
from tests.house import served
from webapp.practice import create_app

VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
SCOPE = "desk:read desk:write openid offline_access"


@dataclass
class Program:
    """A client that leads on from its return address at once, as Gatehouse does."""

    seen: list[dict[str, str]]

    async def come_back(self, request: Request) -> Response:
        self.seen.append(dict(parse_qsl(request.url.query)))
        return RedirectResponse("/arrived", status_code=303)

    async def arrived(self, request: Request) -> Response:
        return PlainTextResponse("Back at the program.")


@dataclass
class Scene:
    practice: str
    program: Program
    callback: str
    client_id: str
    page_path: str

    @property
    def answer(self) -> dict[str, str]:
        [answer] = self.program.seen
        return answer


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[str, str, Program]]:
    program = Program([])
    routes = [Route("/callback", program.come_back), Route("/arrived", program.arrived)]
    with served(create_app()) as practice, served(Starlette(routes=routes)) as home:
        yield practice, home, program


@pytest.fixture(params=["127.0.0.1", "localhost"])
def scene(request: pytest.FixtureRequest, servers: tuple[str, str, Program]) -> Scene:
    practice, home, program = servers
    program.seen.clear()
    callback = home.replace("127.0.0.1", request.param) + "/callback"
    wanted = {
        "client_name": "Test program",
        "redirect_uris": [callback],
        "token_endpoint_auth_method": "none",
    }
    client = httpx2.post(f"{practice}/oauth/register", json=wanted, timeout=60, trust_env=False).json()
    question = {
        "response_type": "code",
        "client_id": client["client_id"],
        "redirect_uri": callback,
        "scope": SCOPE,
        "state": "s",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return Scene(practice, program, callback, client["client_id"], f"/oauth/authorize?{urlencode(question)}")


def press(page: Page, button: str) -> None:
    page.get_by_role("button", name=button).click()
    expect(page.get_by_text("Back at the program.")).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no javascript"])
def test_allow_leads_back_to_the_program(
    scene: Scene, visit: Callable[..., Visitor], javascript: bool
) -> None:
    page = visit(scene.practice, java_script_enabled=javascript).go(scene.page_path)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Test program")
    expect(page.get_by_text(scene.callback)).to_be_visible()
    press(page, "Allow")
    assert scene.answer.keys() == {"code", "state", "iss"}


def test_refuse_leads_back_to_the_program(scene: Scene, visit: Callable[..., Visitor]) -> None:
    press(visit(scene.practice).go(scene.page_path), "Refuse")
    assert scene.answer["error"] == "access_denied"


def test_rights_can_be_unticked(scene: Scene, visit: Callable[..., Visitor]) -> None:
    page = visit(scene.practice).go(scene.page_path)
    page.get_by_label("Change tickets").uncheck()
    press(page, "Allow")
    form = {
        "grant_type": "authorization_code",
        "client_id": scene.client_id,
        "code": scene.answer["code"],
        "redirect_uri": scene.callback,
        "code_verifier": VERIFIER,
    }
    tokens = httpx2.post(f"{scene.practice}/oauth/token", data=form, timeout=60, trust_env=False).json()
    assert tokens["scope"] == "desk:read openid offline_access"


@pytest.mark.parametrize("look", ["light", "narrow"])
def test_the_pages_are_accessible_and_fit(
    servers: tuple[str, str, Program], scene: Scene, visit: Callable[..., Visitor], look: str
) -> None:
    visitor = visit(scene.practice, look)
    visitor.expected = {400}
    for path in (scene.page_path, "/oauth/authorize?client_id=unknown", "/"):
        visitor.go(path)
        assert visitor.faults_in_sight() == []
