"""send_message: the one write, to the chat channel an admin has chosen."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpx2

from webapp.builtin.results import failed, said
from webapp.builtin.tool import BuiltinTool, Context, Secret
from webapp.errors import BadReply, InvalidInput, Refused, Unreachable
from webapp.upstream.egress import Egress, explain

LONGEST_MESSAGE = 4_000
LARGEST_REPLY = 64 * 1024
WHERE = "Settings → Integrations → Network toolkit"
_ADAPTIVE = ("webhook.office.com", "logic.azure.com", "powerplatform.com", "powerautomate.com")
_SLACK = "hooks.slack.com"

DEFINITION: dict[str, Any] = {
    "name": "send_message",
    "title": "Send a message to the team's chat",
    "description": (
        "Sends a message to the chat channel (Microsoft Teams, Slack and the like) that an admin has "
        "configured. Everybody in the channel sees it, and it can't be taken back."
    ),
    "inputSchema": {
        "type": "object",
        "properties": {
            "text": {
                "type": "string",
                "minLength": 1,
                "maxLength": LONGEST_MESSAGE,
                "description": "What to say, in plain text.",
            },
        },
        "required": ["text"],
        "additionalProperties": False,
    },
    "annotations": {
        "readOnlyHint": False,
        "destructiveHint": False,
        "idempotentHint": False,
        "openWorldHint": True,
    },
}

NOT_CONFIGURED = f"No chat channel is configured. An admin can enter its webhook address under {WHERE}."
NOT_SENT = "It was not sent."
MAYBE_SENT = "It may have arrived: look into the channel before you send it again."


async def send(arguments: dict[str, Any], context: Context) -> dict[str, Any]:
    url = context.secrets.get("webhook_url", "")
    if not url:
        return failed(NOT_CONFIGURED)
    if not (text := arguments["text"].strip()):
        raise InvalidInput("“text” must not be empty.", field="text")
    return await post(url, text, context.egress, context.seconds)


async def post(url: str, text: str, egress: Egress, seconds: float, *, where: str = WHERE) -> dict[str, Any]:
    """A tool result that says whether it was sent, and names nothing of the address. `where` an admin enters it."""
    try:
        with _unlogged():
            async with (
                egress.http(max_bytes=LARGEST_REPLY, total_seconds=seconds) as http,
                http.stream("POST", url, json=payload(url, text)) as response,
            ):
                return _told(response.status_code, where)
    except (Refused, httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        # The address is a secret, so none of the exception's own words may get out.
        return failed(_why_not(explain(error, "https://the-webhook/"), where))


_hushed: ContextVar[bool] = ContextVar("_hushed", default=False)
# httpx2 logs the address of every request.
logging.getLogger("httpx2").addFilter(lambda _record: not _hushed.get())


@contextmanager
def _unlogged() -> Iterator[None]:
    token = _hushed.set(True)
    try:
        yield
    finally:
        _hushed.reset(token)


def payload(url: str, text: str) -> dict[str, Any]:
    """Teams wants an Adaptive Card; Slack, Mattermost, Google Chat and most others `text`."""
    host = httpx2.URL(url).host
    if any(host == known or host.endswith(f".{known}") for known in _ADAPTIVE):
        return _card(text)
    return {"text": _slack_text(text) if host == _SLACK else text}


def _slack_text(text: str) -> str:
    """So that <!channel> wakes nobody and <https://…|bank.example> disguises no link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _card(text: str) -> dict[str, Any]:
    # A card breaks lines at empty lines only.
    block = {"type": "TextBlock", "text": text.replace("\n", "\n\n"), "wrap": True}
    content = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [block],
    }
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": content,
    }
    return {"type": "message", "attachments": [attachment]}


def _told(status: int, where: str) -> dict[str, Any]:
    if 200 <= status < 300:
        return said("The message was sent.")
    if status == 429:
        return failed(f"The chat takes no more messages for now (status 429). {NOT_SENT} Try again later.")
    if status >= 500:
        return failed(f"The chat had a failure of its own (status {status}). {MAYBE_SENT}")
    return failed(
        f"The chat refused the message (status {status}). {NOT_SENT} The webhook may have been removed; an "
        f"admin can enter a new one under {where}."
    )


def _why_not(error: Refused, where: str) -> str:
    if isinstance(error, Unreachable) and not error.sent:
        return f"The chat can't be reached right now. {NOT_SENT} Try again later."
    if isinstance(error, (Unreachable, BadReply)):
        return f"The chat gave no usable answer. {MAYBE_SENT}"
    return f"The webhook's address can't be used. {NOT_SENT} An admin can correct it under {where}."


def check_address(url: str) -> None:
    """Raises InvalidInput, without a word of the address itself."""
    try:
        Egress().check_url(url)
    except Refused:
        raise InvalidInput(
            "This is not the address of a webhook.",
            field="webhook_url",
            next_step="Copy the whole address from Teams or Slack; it begins with https://.",
        ) from None


SECRET = Secret(
    name="webhook_url",
    title="Webhook address",
    hint="Of an incoming webhook in Teams, Slack, Mattermost or Google Chat. Whoever has it can post there.",
    check=check_address,
)
TOOL = BuiltinTool(
    DEFINITION,
    send,
    too_slow="The chat gave no answer within {seconds:g} seconds. " + MAYBE_SENT,
)
