"""Sending notices: each piece of news once per channel, by one worker, and several that came together in one."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from webapp.builtin.network import webhook
from webapp.errors import BadReply, Refused
from webapp.services import audit
from webapp.services.audit import SYSTEM, Actor
from webapp.services.notices import channels, news, wording
from webapp.services.notices.news import News
from webapp.services.notices.surroundings import current
from webapp.services.roles import needs
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import NoticeChannel
from webapp.upstream import mail
from webapp.upstream.egress import Allowance, Egress

LONGEST_PAUSE = timedelta(minutes=15)
WHERE = "Settings → Notices"


def tell() -> None:
    """Looks at every channel once; for a thread without an event loop. Not in a transaction."""
    news.forget_mended()
    for channel in list(NoticeChannel.select().where(NoticeChannel.on, NoticeChannel.next_at <= now())):
        if told := _claim(channel):
            _tell(channel, told)


def send_test(kind: str, actor: Actor) -> None:
    """Raises Refused, in words for the page, where it could not be sent."""
    needs(actor, "admin")
    channel = channels.one(kind)
    try:
        _send(channel, wording.TEST_SUBJECT, f"{wording.TEST_TEXT}\n{current.address}/approvals")
    except Refused as refusal:
        _note(channel, refusal.what)
        raise
    _note(channel, "")
    with writing():
        audit.record("notices.tested", actor, details={"channel": channels.KINDS[kind]}, agents_notice=False)


def write_to(recipient: str, subject: str, text: str) -> bool:
    """A mail to one person; False where there is no mail server to send it. Raises Refused where it was not sent."""
    channel = channels.of("mail")
    if channel is None or not channel.on:
        return False
    _mail(channel, [channels.address(recipient, "email")], subject, text)
    return True


def _claim(channel: NoticeChannel) -> News:
    """What this worker is to tell there now. Whoever moves `next_at` first has it."""
    if not news.untold(channel):
        return News()
    with writing():
        moved = (
            NoticeChannel.update(next_at=now() + current.every)
            .where(NoticeChannel.id == channel.id, NoticeChannel.on, NoticeChannel.next_at <= now())
            .execute()
        )
        return news.claim(channel) if moved else News()


def _tell(channel: NoticeChannel, told: News) -> None:
    try:
        _send(channel, wording.subject(told), wording.text(told))
    except Refused as refusal:
        _note(channel, refusal.what)
        news.give_back(channel, told)
        return
    _note(channel, "")
    news.keep(channel, told)


def _note(channel: NoticeChannel, problem: str) -> None:
    """How it went: on the channel's page, and in the log when that is news."""
    failures = channel.failures + 1 if problem else 0
    pause = min(current.every * 2 ** min(failures, 8), LONGEST_PAUSE)
    changes = {"problem": problem, "failures": failures}
    changes |= {"next_at": now() + pause} if problem else {"sent_at": now()}
    details = {"channel": channels.KINDS[channel.kind]}
    with writing():
        NoticeChannel.update(**changes).where(NoticeChannel.id == channel.id).execute()
        if problem and problem != channel.problem:
            audit.record("notices.failed", SYSTEM, details=details | {"why": problem}, agents_notice=False)
        elif channel.problem and not problem:
            audit.record("notices.recovered", SYSTEM, details=details, agents_notice=False)


def _send(channel: NoticeChannel, subject: str, text: str) -> None:
    if channel.kind == "mail":
        ending = "Opening a link decides nothing."
        _mail(channel, channel.settings["recipients"], subject, f"{text}\n\n{ending}")
    else:
        _post(channel, f"{subject}\n{text}")


def _mail(channel: NoticeChannel, recipients: list[str], subject: str, text: str) -> None:
    settings = channel.settings
    message = EmailMessage()
    message["Subject"], message["From"] = subject, settings["sender"]
    message["To"] = ", ".join(recipients)
    message["Date"], message["Message-ID"] = (
        formatdate(),
        make_msgid(domain=settings["sender"].rpartition("@")[2]),
    )
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(f"{text}\n")
    server = mail.MailServer(
        settings["host"],
        settings["port"],
        settings["security"],
        settings["user"],
        channels.secret_of(channel),
    )
    mail.send(_egress(channel, mail.PORTS), server, message)


def _post(channel: NoticeChannel, text: str) -> None:
    url, egress = channels.secret_of(channel), _egress(channel, frozenset({443}))
    result = asyncio.run(webhook.post(url, text, egress, mail.SECONDS, where=WHERE))
    said = str(result["content"][0]["text"])
    if result.get("isError") and webhook.MAYBE_SENT not in said:
        raise BadReply(said, kind="not_sent")


def _egress(channel: NoticeChannel, ports: frozenset[int]) -> Egress:
    allowances = [Allowance(**allowance) for allowance in channel.allowances]
    return Egress(allowances, ports=ports, ca_file=current.ca_file)
