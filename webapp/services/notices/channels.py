"""The channels of notices as an admin sets them up; what is secret of them is sealed."""

from __future__ import annotations

import asyncio
import re
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from webapp.builtin.network.webhook import check_address
from webapp.errors import EgressDenied, InvalidInput, NotFound
from webapp.services import audit
from webapp.services.accounts import EMAIL
from webapp.services.audit import Actor
from webapp.services.roles import needs
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import NoticeChannel
from webapp.upstream import mail
from webapp.upstream.egress import Allowance, Egress, private_offer

KINDS = {"mail": "e-mail", "webhook": "chat webhook"}
SECURITY = {
    "starttls": "TLS after the greeting (STARTTLS)",
    "tls": "TLS from the first byte",
    "none": "no TLS",
}
MOST_RECIPIENTS = 20
HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,253}")
LARGEST_PORT = 65535
OWN_NETWORK = "Tick that it is in your own network."


@dataclass(frozen=True)
class Mail:
    """As typed. An empty password keeps the stored one; `private`: the server is in our own network."""

    host: str = ""
    port: str = "587"
    security: str = "starttls"
    user: str = ""
    password: str = ""
    sender: str = ""
    recipients: str = ""
    private: bool = False


def of(kind: str) -> NoticeChannel | None:
    found: NoticeChannel | None = NoticeChannel.get_or_none(NoticeChannel.kind == kind)
    return found


def save_mail(typed: Mail, actor: Actor) -> NoticeChannel:
    """Raises InvalidInput for what can't be used."""
    needs(actor, "admin")
    server = _server(typed)
    settings = asdict(server) | {"sender": address(typed.sender, "sender"), "recipients": _recipients(typed)}
    del settings["password"]
    known = of("mail")
    password = typed.password or (_kept_password(known, server) if typed.user.strip() else "")
    if server.user and not password:
        raise InvalidInput("A user name needs its password.", field="password")
    if password and server.security == "none":
        raise InvalidInput("A password is not sent without TLS.", field="security",
                           next_step="Choose one of the two kinds of TLS.")  # fmt: skip
    allowances = _allowed(server.host, server.port, "host", mail.PORTS) if typed.private else []
    return _save("mail", settings, password, allowances, actor)


def save_webhook(url: str, private: bool, actor: Actor) -> NoticeChannel:
    """An empty address keeps the stored one."""
    needs(actor, "admin")
    url, known = url.strip(), of("webhook")
    if not url:
        if known is None:
            raise InvalidInput("The address of the webhook is needed.", field="url")
        return known
    allowances: list[dict[str, Any]] = []
    if private:
        host, port, cleartext = _place(url)
        allowances = _allowed(host, port, "url", frozenset({443}), cleartext=cleartext)
    else:
        try:
            check_address(url)
        except InvalidInput as error:
            raise InvalidInput(error.what, field="url", next_step=error.next_step) from None
    return _save("webhook", {"host": _place(url)[0]}, url, allowances, actor)


def switch(kind: str, on: bool, actor: Actor) -> None:
    needs(actor, "admin")
    with writing():
        if one(kind).on != on:
            NoticeChannel.update(on=on, failures=0, problem="", next_at=now()).where(
                NoticeChannel.kind == kind
            ).execute()
            audit.record("notices.changed", actor, details={"channel": KINDS[kind], "on": on})


def remove(kind: str, actor: Actor) -> None:
    needs(actor, "admin")
    with writing():
        NoticeChannel.delete().where(NoticeChannel.id == one(kind).id).execute()
        audit.record("notices.changed", actor, details={"channel": KINDS[kind], "removed": True})


def tells(email: str) -> bool:
    """Whether notices go to this address."""
    channel = of("mail")
    return channel is not None and email in map(str.lower, channel.settings["recipients"])


def tell_instead(email: str, other: str) -> None:
    """Notices to the one address go to the other. In the caller's transaction."""
    channel = of("mail")
    if channel is None or not tells(email):
        return
    kept = [one for one in channel.settings["recipients"] if one.lower() not in (email, other)]
    NoticeChannel.update(settings=channel.settings | {"recipients": [*kept, other]}).where(
        NoticeChannel.id == channel.id
    ).execute()


def secret_of(channel: NoticeChannel) -> str:
    opened: str = NoticeChannel.secret.open(channel.kind, channel.secret) or ""
    return opened


def one(kind: str) -> NoticeChannel:
    found = of(kind) if kind in KINDS else None
    if found is None:
        raise NotFound("There is no such channel.", next_step="Set it up under Settings → Notices.")
    return found


def _save(
    kind: str, settings: dict[str, Any], secret: str, allowances: list[dict[str, Any]], actor: Actor
) -> NoticeChannel:
    sealed = NoticeChannel.secret.seal(kind, secret) if secret else None
    values = {"settings": settings, "secret": sealed, "allowances": allowances, "on": True, "changed_at": now(),
              "next_at": now(), "failures": 0, "problem": ""}  # fmt: skip
    with writing():
        NoticeChannel.insert(kind=kind, **values).on_conflict(
            conflict_target=[NoticeChannel.kind], update=values
        ).execute()
        details = {"channel": KINDS[kind], "settings": settings, "allowances": allowances}
        audit.record("notices.changed", actor, details=details)
    return one(kind)


def _place(url: str) -> tuple[str, int, bool]:
    """Host, port, and whether it is plain http. Raises InvalidInput, without a word of the address itself."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("https", "http"):
        raise InvalidInput(
            "This is not the address of a webhook.", field="url",
            next_step="Copy the whole address from Teams or Slack; it begins with https://.",
        )  # fmt: skip
    cleartext = parts.scheme == "http"
    return host, port or (80 if cleartext else 443), cleartext


def _server(typed: Mail) -> mail.MailServer:
    host = typed.host.strip()
    if not HOST.fullmatch(host):
        raise InvalidInput(
            "This is no name of a mail server.", field="host", next_step="Try mail.example.com."
        )
    if typed.security not in SECURITY:
        raise InvalidInput("Choose how to connect.", field="security")
    number = typed.port.strip()
    if not (number.isascii() and number.isdigit() and len(number) <= 5 and 0 < int(number) <= LARGEST_PORT):
        raise InvalidInput("A port is a number up to 65535.", field="port", next_step="Most servers use 587.")
    if int(number) not in mail.PORTS and not typed.private:
        usual = ", ".join(map(str, sorted(mail.PORTS)))
        raise InvalidInput(f"Mail is sent to port {usual} only.", field="port",
                           next_step=f"If the server is in your own network: {OWN_NETWORK}")  # fmt: skip
    return mail.MailServer(host, int(number), typed.security, typed.user.strip(), typed.password)


def _kept_password(known: NoticeChannel | None, server: mail.MailServer) -> str:
    """The stored one, for the server it was entered for only."""
    same = known is not None and (known.settings["host"], known.settings["user"]) == (
        server.host,
        server.user,
    )
    return secret_of(known) if known is not None and same else ""


def address(text: str, field: str) -> str:
    """One that a header of a mail can carry."""
    found = text.strip()
    if not EMAIL.fullmatch(found) or not found.isascii() or any(c in found for c in '<>,;"\\()'):
        raise InvalidInput(f"“{found[:80]}” is no mail address.", field=field)
    return found


def _recipients(typed: Mail) -> list[str]:
    found = [address(part, "recipients") for part in re.split(r"[\s,;]+", typed.recipients) if part]
    if not found or len(found) > MOST_RECIPIENTS:
        raise InvalidInput(f"One to {MOST_RECIPIENTS} recipients are needed.", field="recipients")
    return list(dict.fromkeys(found))


def _allowed(
    host: str, port: int, field: str, ports: frozenset[int], *, cleartext: bool = False
) -> list[dict[str, Any]]:
    """The exception of the guard that this address needs, and no wider; none where it needs none."""
    try:
        asyncio.run(Egress(ports=ports).addresses(host, port))
    except EgressDenied as error:
        offer: Allowance | None = private_offer(error, cleartext=cleartext)
        if offer is None:
            raise InvalidInput(error.what, field=field, next_step=error.next_step) from None
        return [asdict(offer)]
    if cleartext:
        raise InvalidInput("A webhook outside your own network begins with https://.", field=field)
    return []
