"""The rule of two: where a tool has it, whoever owns an agent, or made its key and so may have it, does not approve
that agent's calls; and nobody approves what they asked for themselves."""

from __future__ import annotations

from webapp.errors import Forbidden, NotFound
from webapp.services import audit
from webapp.services.audit import Actor
from webapp.services.roles import needs
from webapp.store.database import writing
from webapp.store.models import Agent, Approval, Tool


def hindrance(approval: Approval, user_id: int | None) -> str:
    """Why this person may not approve this call; empty when they may. Denying is anybody's."""
    tool, agent = approval.tool, approval.agent
    if user_id is None or tool is None or not tool.second_person:
        return ""
    if approval.asked_by_id == user_id:
        return "This tool needs a second person: you asked for this call, so somebody else has to approve it."
    if whose := whose_agent(agent, user_id):
        return f"This tool needs a second person: {whose}, so somebody else has to approve its call."
    return ""


def whose_agent(agent: Agent | None, user_id: int) -> str:
    """What this person has to do with it, as a part of a sentence; empty where it is somebody else's."""
    if agent is None or user_id not in (agent.owner_id, agent.key_by_id):
        return ""
    return "you own this agent" if agent.owner_id == user_id else "you made this agent’s key"


def check(approval: Approval, actor: Actor) -> None:
    """Raises Forbidden. The command line belongs to whoever owns the box, and is nobody's account."""
    if why := hindrance(approval, actor.id if actor.kind == "user" else None):
        raise Forbidden(why, next_step="Ask a colleague to look at it. You can still deny it.")


def set_rule(tool: Tool, wanted: bool, actor: Actor) -> Tool:
    needs(actor, "admin")
    with writing():
        current: Tool | None = Tool.get_or_none(Tool.id == tool.id)
        if current is None:
            raise NotFound("This tool is gone: its server was disconnected.")
        if current.second_person != wanted:
            Tool.update(second_person=wanted).where(Tool.id == tool.id).execute()
            action = "tool.second_person_on" if wanted else "tool.second_person_off"
            audit.record(action, actor, integration=current.integration.name, tool=current.catalogue_name)
    found: Tool = Tool.get(Tool.id == tool.id)
    return found
