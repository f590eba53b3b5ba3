"""The same call for a while: one person's yes for exactly this agent, tool, definition and arguments.

Each call under it is an approval of its own, already decided, which runs and is logged like any other.
"""

from __future__ import annotations

from datetime import timedelta

from webapp.errors import NotFound
from webapp.services import audit
from webapp.services.approvals import second_person
from webapp.services.audit import Actor
from webapp.services.roles import ROLES, needs
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Approval, Standing, User

LASTS = timedelta(minutes=15)
MAY_DECIDE = ROLES[ROLES.index("technician") :]


def give(approval: Approval, actor: Actor) -> Standing:
    """From now on. In the transaction of the decision."""
    given: Standing = Standing.create(
        key=approval.open_key,
        agent=approval.agent_id,
        agent_name=approval.agent_name,
        tool=approval.tool_id,
        catalogue_name=approval.catalogue_name,
        approval=approval.id,
        by=actor.name,
        by_user=actor.id if actor.kind == "user" else None,
        expires_at=now() + LASTS,
    )
    return given


def serving(key: str) -> Standing | None:
    """What covers a call with this key now. It ends with the right of the person who gave it."""
    found: Standing | None = (
        Standing.open_ones().where(Standing.key == key).order_by(Standing.expires_at.desc()).first()
    )
    return found if found and _still_may(found) else None


def _still_may(given: Standing) -> bool:
    if given.by_user_id is None:
        return True
    user: User | None = given.by_user
    if user is None or user.disabled_at is not None or user.role not in MAY_DECIDE:
        return False
    tool, agent = given.tool, given.agent
    return not (tool and tool.second_person and second_person.whose_agent(agent, user.id))


def use(given: Standing) -> None:
    """In the caller's transaction."""
    Standing.update(uses=Standing.uses + 1).where(Standing.id == given.id).execute()


def end_of(person: User, actor: Actor) -> int:
    """What they said yes to ends with them. How many; in the caller's transaction."""
    ended: int = (
        Standing.update(ended_at=now(), ended_by=actor.name)
        .where(Standing.by_user == person.id, Standing.ended_at.is_null(), Standing.expires_at > now())
        .execute()
    )
    return ended


def end(standing_id: int, actor: Actor) -> Standing:
    """From the next call on a person is asked again. Ending it twice is ending it once."""
    needs(actor, "technician")
    with writing():
        given: Standing | None = Standing.get_or_none(Standing.id == standing_id)
        if given is None:
            raise NotFound("There is no such approval.", next_step="Go back to Approvals.")
        ended = (
            Standing.update(ended_at=now(), ended_by=actor.name)
            .where(Standing.id == standing_id, Standing.ended_at.is_null(), Standing.expires_at > now())
            .execute()
        )
        if ended:
            integration = given.tool.integration.name if given.tool else ""
            details = {"agent": given.agent_name, "by": given.by}
            audit.record("standing.ended", actor, integration=integration, tool=given.catalogue_name,
                         approval=given.approval, details=details, tools=())  # fmt: skip
    return given
