"""send_message: exactly what arrives, and an address that never shows."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from tests.builtin.calling import Answer, ask, ask_alone, knowing
from tests.builtin.network.site import Pages, Site, site
from webapp.builtin import BUILTINS, Context
from webapp.errors import InvalidInput
from webapp.services.seeding import seed

TOKEN = "T00/B00/XYZsecret"
PATH = f"/hook/{TOKEN}"


def post(
    pages: Pages, message: str = "The server is back.", *, host: str = "chat.example", seconds: float = 10.0
) -> tuple[Answer, Site]:
    async def go() -> tuple[Answer, Site]:
        async with site(pages, body=f"no such hook: {PATH}".encode()) as server:
            egress = knowing({host: "127.0.0.1"}, at={host: server.port})
            secrets = {"webhook_url": f"http://{host}:{server.port}{PATH}"}
            return await ask(
                "send_message", Context(egress, secrets=secrets, seconds=seconds), text=message
            ), server

    return asyncio.run(go())


def received(site: Site) -> Any:
    (request,) = site.requests
    assert (request.method, request.path) == ("POST", PATH)
    assert request.headers["content-type"] == "application/json"
    return json.loads(request.body)


def test_the_message_arrives_as_it_was_written() -> None:
    answer, server = post({PATH: (200, {})}, "Zeile 1\n„Zeile 2“ <b> & 🎉")
    assert answer.text == "The message was sent."
    assert received(server) == {"text": "Zeile 1\n„Zeile 2“ <b> & 🎉"}


def test_slack_wakes_nobody_and_shows_links_as_they_are() -> None:
    _, server = post({PATH: (200, {})}, "<!channel> <https://evil.example|bank> & so", host="hooks.slack.com")
    assert received(server) == {"text": "&lt;!channel&gt; &lt;https://evil.example|bank&gt; &amp; so"}


@pytest.mark.parametrize(
    "host",
    [
        "shop.webhook.office.com",
        "prod-1.westeurope.logic.azure.com",
        "default1.environment.api.powerplatform.com",
    ],
)
def test_teams_gets_a_card(host: str) -> None:
    _, server = post({PATH: (202, {})}, "One\nTwo", host=host)
    assert received(server) == {
        "type": "message",
        "attachments": [
            {
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": None,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "body": [{"type": "TextBlock", "text": "One\n\nTwo", "wrap": True}],
                },
            }
        ],
    }


def test_a_host_that_only_sounds_like_teams_gets_text() -> None:
    _, server = post({PATH: (200, {})}, "One", host="notlogic.azure.com")
    assert received(server) == {"text": "One"}


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (
            404,
            {},
            "was not sent. The webhook may have been removed; an admin can enter a new one under Settings",
        ),
        (302, {"Location": "https://evil.example/"}, "was not sent"),
        (429, {}, "was not sent. Try again later"),
        (500, {}, "may have arrived"),
        (200, {"Content-Encoding": "gzip"}, "may have arrived"),
        (0, {}, "may have arrived"),
    ],
)
def test_failures_say_whether_it_was_sent_and_happen_once(
    status: int, headers: dict[str, str], words: str
) -> None:
    answer, server = post({PATH: (status, headers)}, seconds=0.5 if status == 0 else 10.0)
    assert answer.is_error
    assert words in answer.text
    assert len(server.requests) == 1
    assert TOKEN not in answer.text
    assert "chat.example" not in answer.text


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"https://10.1.2.3/{TOKEN}", "can't be used. It was not sent."),
        (f"https://missing.example/{TOKEN}", "can't be reached right now. It was not sent."),
        (f"http://chat.example/{TOKEN}", "can't be used. It was not sent."),
        (f"https://[broken/{TOKEN}", "can't be used. It was not sent."),
        (f"https://chat.example:99999/{TOKEN}", "can't be used. It was not sent."),
        (f"nonsense {TOKEN}", "can't be used. It was not sent."),
        (f"https://closed.example:1/{TOKEN}", "can't be reached right now. It was not sent."),
    ],
)
def test_an_address_that_can_not_be_used_never_shows(url: str, words: str) -> None:
    hosts = {"chat.example": "8.8.8.8", "closed.example": "127.0.0.1"}
    context = Context(knowing(hosts, at={"closed.example": 1}), secrets={"webhook_url": url})
    answer = ask_alone("send_message", context, text="Hello")
    assert answer.is_error
    assert words in answer.text
    assert TOKEN not in answer.text
    assert TOKEN not in repr(context)


def test_the_address_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    post({PATH: (200, {})})
    post({PATH: (404, {})})
    assert TOKEN not in caplog.text


def test_without_an_address_it_says_where_to_enter_one() -> None:
    answer = ask_alone("send_message", text="Hello")
    assert answer.is_error
    assert answer.text == (
        "No chat channel is configured. An admin can enter its webhook address under "
        "Settings → Integrations → Network toolkit."
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"text": "x" * 4_001}, "“text” may have 4,000 characters at most."),
        ({"text": ""}, "“text” must not be empty."),
        ({"text": " \n "}, "“text” must not be empty."),
        ({"text": "Hello", "webhook_url": "https://evil.example/"}, "There is no argument “webhook_url”."),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments: dict[str, Any], words: str) -> None:
    context = Context(knowing({}), secrets={"webhook_url": "https://chat.example/x"})
    answer = ask_alone("send_message", context, **arguments)
    assert answer.is_error
    assert words in answer.text


def test_it_needs_an_approval_even_by_its_words_alone() -> None:
    definition = BUILTINS["network"].tools["send_message"].definition
    assert (
        seed(definition["name"], definition["description"], {}, definition["inputSchema"]).policy
        == "approval"
    )


def test_an_admin_is_told_of_an_address_that_is_none() -> None:
    (secret,) = BUILTINS["network"].secrets
    assert secret.name == "webhook_url"
    secret.check("https://hooks.slack.com/services/T00/B00/XYZ")
    for wrong in (
        "hooks.slack.com/services",
        "http://hooks.slack.com/x",
        "https://10.0.0.1/x",
        "https://[x/",
        "",
    ):
        with pytest.raises(InvalidInput) as refusal:
            secret.check(wrong)
        assert "slack" not in str(refusal.value)
