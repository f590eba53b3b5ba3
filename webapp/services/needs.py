"""What needs a person just now, over all of Gatehouse."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from peewee import Case, fn

from webapp.services import condition, daily_backups, figures, forecast, health, retention
from webapp.services.condition import Trouble
from webapp.services.figures import Failing
from webapp.services.forecast import Due
from webapp.services.health import Health
from webapp.store.fields import now
from webapp.store.models import WAITS, Agent, Approval, Connection, Integration, Tool, User

# In these states an integration needs nobody; changed tools are listed by themselves.
QUIET = ("connected", "paused", "draft", "needs_review")
SOON = timedelta(days=7)
SIGN_INS_SOON = timedelta(days=14)


@dataclass(frozen=True)
class Needs:
    troubles: list[Trouble]
    waiting: int
    oldest: Approval | None
    troubled: list[tuple[Integration, Health]]
    failing: list[Failing]
    sign_ins: list[Due]
    orphaned: list[Connection]  # used with the sign-in of somebody whose account is closed
    review: list[
        tuple[Integration, int, int]
    ]  # tools that wait for a look, and how many of them were flagged
    drafts: list[Integration]
    unseen: list[Integration]  # in use, but nobody went through its tools to the end of the wizard
    ending: list[Agent]
    log: str
    backups: str

    @property
    def any(self) -> bool:
        return any(self.__dict__.values())


def now_needed(integrations: list[Integration]) -> Needs:
    waiting = Approval.waiting()
    troubled = [one for one in integrations if _troubled(one)]
    known = {one.id for one in troubled}
    return Needs(
        troubles=condition.look(),
        waiting=waiting.count(),
        oldest=waiting.first(),
        troubled=[(one, health.of(one)) for one in troubled],
        failing=[one for one in figures.failing() if one.integration.id not in known],
        sign_ins=[due for due in forecast.upcoming() if _soon(due) and due.integration.id not in known],
        orphaned=_orphaned(),
        review=_to_review(),
        drafts=[one for one in integrations if one.state == "draft"],
        unseen=[one for one in integrations if _unseen(one)],
        ending=_ending(),
        log=retention.problem(),
        backups=daily_backups.problem(),
    )


def _troubled(integration: Integration) -> bool:
    return integration.state not in QUIET or bool(integration.sync_error and integration.state == "connected")


def _unseen(integration: Integration) -> bool:
    return integration.kind == "server" and integration.state != "draft" and not integration.finished_at


def _soon(due: Due) -> bool:
    return due.at is None or due.at < now() + SIGN_INS_SOON


def _to_review() -> list[tuple[Integration, int, int]]:
    """Integrations with tools that wait for a look."""
    waiting, flagged = fn.COUNT(Tool.id), fn.SUM(Case(None, [(Tool.flagged, 1)], 0))
    query = (
        Integration.select(Integration, waiting.alias("waiting"), flagged.alias("suspicious"))
        .join(Tool, on=Tool.integration == Integration.id)
        .where(WAITS, Tool.missing_since.is_null())
        .group_by(Integration.id)
        .order_by(Integration.title)
    )
    return [(row, row.waiting, row.suspicious) for row in query.objects()]


def _orphaned() -> list[Connection]:
    rows = Connection.select(Connection, Integration, User).join(Integration).switch(Connection)
    left = User.disabled_at.is_null(False) & (Connection.kind != "none")
    return list(rows.join(User, on=Connection.given_by).where(left).order_by(Integration.title))


def _ending() -> list[Agent]:
    """Agents whose key stops soon, or stopped lately."""
    soon = Agent.expires_at.between(now() - SOON, now() + SOON)
    return list(Agent.select().where(Agent.revoked_at.is_null(), soon).order_by(Agent.expires_at))
