"""What there is to tell a channel, and what it was told: each waiting call once, and each lost sign-in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from peewee import ModelSelect

from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Approval, Integration, Notice, NoticeChannel, SignInNotice

# A claim that came to nothing by then was a dead worker's. Better told twice than never.
LOST_AFTER = timedelta(minutes=2)


@dataclass(frozen=True)
class News:
    waiting: Sequence[Approval] = ()
    lost: Sequence[Integration] = ()  # servers that need a person to sign in again

    def __bool__(self) -> bool:
        return bool(self.waiting or self.lost)


def untold(channel: NoticeChannel) -> News:
    waiting = Approval.waiting().where(Approval.id.not_in(_told(Notice, Notice.approval, channel)))
    signed_in = Integration.id.not_in(_told(SignInNotice, SignInNotice.integration, channel))
    lost = Integration.select().where(Integration.state == "needs_sign_in", signed_in)
    return News(list(waiting), list(lost.order_by(Integration.title)))


def claim(channel: NoticeChannel) -> News:
    """All of it, for this worker. In the caller's transaction."""
    news = untold(channel)
    _delete(channel, news)
    for approval in news.waiting:
        Notice.create(channel=channel, approval=approval)
    for integration in news.lost:
        SignInNotice.create(channel=channel, integration=integration)
    return news


def keep(channel: NoticeChannel, news: News) -> None:
    """It was sent."""
    with writing():
        Notice.update(sent_at=now()).where(_approvals(channel, news)).execute()
        SignInNotice.update(sent_at=now()).where(_sign_ins(channel, news)).execute()


def give_back(channel: NoticeChannel, news: News) -> None:
    """It was not."""
    with writing():
        _delete(channel, news)


def forget_mended() -> None:
    """Who signed in again is told of the next loss anew."""
    mended = (
        SignInNotice.select(SignInNotice.id).join(Integration).where(Integration.state != "needs_sign_in")
    )
    if mended.exists():
        with writing():
            SignInNotice.delete().where(SignInNotice.id.in_(mended)).execute()


def _told(model: type[Notice | SignInNotice], about: object, channel: NoticeChannel) -> ModelSelect:
    lately = model.sent_at.is_null(False) | (model.claimed_at > now() - LOST_AFTER)
    return model.select(about).where(model.channel == channel, lately)


def _delete(channel: NoticeChannel, news: News) -> None:
    Notice.delete().where(_approvals(channel, news)).execute()
    SignInNotice.delete().where(_sign_ins(channel, news)).execute()


def _approvals(channel: NoticeChannel, news: News) -> object:
    return (Notice.channel == channel) & Notice.approval.in_([one.id for one in news.waiting])


def _sign_ins(channel: NoticeChannel, news: News) -> object:
    return (SignInNotice.channel == channel) & SignInNotice.integration.in_([one.id for one in news.lost])
