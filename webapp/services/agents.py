"""Agents: programs that call tools, each with its own key and its own limits."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime

from webapp.errors import InvalidInput, NotFound, Stale
from webapp.services import approvals, audit
from webapp.services.audit import Actor
from webapp.services.own_tools import MODES, MOST_ABOVE, SEARCH_ABOVE, Mode
from webapp.services.roles import needs
from webapp.services.visible import has_hidden
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Agent, AgentIntegration, Integration, User

LONGEST_NAME = 60
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def create(
    name: str,
    actor: Actor,
    *,
    owner: User | None = None,
    integrations: Iterable[Integration] | None = None,
    expires_at: datetime | None = None,
    mode: Mode = Mode(),  # noqa: B008 - frozen
) -> tuple[Agent, str]:
    """The agent and its key. The key is not kept and can't be shown again."""
    needs(actor, "admin")
    _check_expiry(expires_at)
    _check_mode(mode)
    prefix, key = _new_key()
    with writing():
        name = _free_name(name)
        agent: Agent = Agent.create(
            name=name,
            key_prefix=prefix,
            key_hash=hash_key(key),
            key_by=_person(actor),
            owner=owner or _person(actor),
            every_integration=integrations is None,
            expires_at=expires_at,
            tool_search=mode.setting,
            tool_search_above=mode.above,
        )
        granted = _grant(agent, integrations or ())
        details = {"key": prefix, "integrations": granted if integrations is not None else "all"}
        audit.record("agent.added", actor, details={"agent": name} | details)
    return agent, key


def limit(agent: Agent, integrations: Iterable[Integration] | None, actor: Actor) -> None:
    """None: every integration, those to come included."""
    needs(actor, "admin")
    with writing():
        AgentIntegration.delete().where(AgentIntegration.agent == agent).execute()
        Agent.update(every_integration=integrations is None).where(Agent.id == agent.id).execute()
        granted = _grant(agent, integrations or ())
        details = {"agent": agent.name, "integrations": granted if integrations is not None else "all"}
        audit.record("agent.limited", actor, details=details)


def set_tool_search(agent: Agent, mode: Mode, actor: Actor) -> None:
    """Whether it lists its tools or searches them, from its next list on."""
    needs(actor, "admin")
    _check_mode(mode)
    with writing():
        changes = {"tool_search": mode.setting, "tool_search_above": mode.above}
        Agent.update(**changes).where(Agent.id == agent.id).execute()
        audit.record("agent.tool_search", actor, details={"agent": agent.name, "search": mode.in_words})


def set_expiry(agent: Agent, expires_at: datetime | None, actor: Actor) -> None:
    """None: the key works until it is revoked."""
    needs(actor, "admin")
    _check_expiry(expires_at)
    with writing():
        Agent.update(expires_at=expires_at).where(Agent.id == agent.id).execute()
        audit.record("agent.expiry", actor, details={"agent": agent.name, "expires_at": expires_at})


def replace_key(agent: Agent, actor: Actor) -> str:
    """A new key; the old one stops at once, and so does what was asked for with it and waits. A revoked agent may call
    again."""
    needs(actor, "admin")
    prefix, key = _new_key()
    with writing():
        current = get(agent.id)
        if current.expires_at is not None and current.expires_at <= now():
            raise Stale(
                "This agent has expired, so a new key would not work.",
                next_step="Let it work longer first.",
            )
        changes = {
            "key_prefix": prefix,
            "key_hash": hash_key(key),
            "key_by": _person(actor),
            "revoked_at": None,
        }
        Agent.update(**changes).where(Agent.id == agent.id).execute()
        approvals.withdraw_of(agent, "the agent's key was replaced")
        audit.record("agent.key_replaced", actor, details={"agent": agent.name, "key": prefix})
    return key


def revoke(agent: Agent, actor: Actor) -> None:
    """The key stops at once. Nothing happens where it was revoked before."""
    needs(actor, "admin")
    with writing():
        current = get(agent.id)
        if current.revoked_at is None:
            Agent.update(revoked_at=now()).where(Agent.id == agent.id).execute()
            approvals.withdraw_of(agent, "the agent's key was revoked")
            audit.record("agent.revoked", actor, details={"agent": agent.name, "key": current.key_prefix})


def limits_of(agents: Iterable[Agent]) -> dict[int, list[Integration]]:
    """{agent id: what it is limited to}, for agents that are limited."""
    limited = [agent.id for agent in agents if not agent.every_integration]
    rows = (
        AgentIntegration.select(AgentIntegration, Integration)
        .join(Integration)
        .where(AgentIntegration.agent.in_(limited))
        .order_by(Integration.title)
    )
    found: dict[int, list[Integration]] = {agent_id: [] for agent_id in limited}
    for row in rows:
        found[row.agent_id].append(row.integration)
    return found


def by_name(name: str) -> Agent:
    agent: Agent | None = Agent.get_or_none(Agent.name == name)
    if agent is None:
        raise NotFound(f"There is no agent called {name[:60]}.")
    return agent


def get(agent_id: int) -> Agent:
    agent: Agent | None = Agent.get_or_none(Agent.id == agent_id) if agent_id < 2**63 else None
    if agent is None:
        raise NotFound("There is no such agent.", next_step="Go back to Agents.")
    return agent


def note_use(agent_id: int) -> None:
    """In the caller's transaction."""
    Agent.update(last_used_at=now()).where(Agent.id == agent_id).execute()


def hash_key(key: str) -> str:
    """A key is 256 random bits, so a fast hash is enough."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _person(actor: Actor) -> int | None:
    return actor.id if actor.kind == "user" else None


def _new_key() -> tuple[str, str]:
    prefix = "gh_" + "".join(secrets.choice(ALPHABET) for _ in range(8))
    return prefix, f"{prefix}_{secrets.token_urlsafe(32)}"


def _free_name(name: str) -> str:
    """People decide by this name, so it must be what it seems. In the caller's transaction."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= LONGEST_NAME:
        raise InvalidInput(f"An agent's name has 1 to {LONGEST_NAME} characters.", field="name")
    if has_hidden(name):
        raise InvalidInput(
            "This name has characters that can't be seen.",
            field="name",
            next_step="Type it instead of pasting it.",
        )
    if Agent.get_or_none(Agent.name == name):
        raise InvalidInput(
            f"There is already an agent called “{name}”.", field="name", next_step="Choose another name."
        )
    return name


def _check_expiry(expires_at: datetime | None) -> None:
    if expires_at is not None and expires_at <= now():
        raise InvalidInput(
            "This day has passed already.",
            field="expires",
            next_step="Choose a later one, or leave it empty.",
        )


def _check_mode(mode: Mode) -> None:
    if mode.setting not in MODES:
        raise InvalidInput("Tool search is off, on or automatic.", field="tool_search")
    if not 1 <= mode.above <= MOST_ABOVE:
        raise InvalidInput(
            f"The number of tools is between 1 and {MOST_ABOVE:,}.", field="tool_search_above",
            next_step=f"{SEARCH_ABOVE} suits most models.",
        )  # fmt: skip


def _grant(agent: Agent, integrations: Iterable[Integration]) -> list[str]:
    chosen = list(integrations)
    for integration in chosen:
        AgentIntegration.create(agent=agent, integration=integration)
    return [integration.name for integration in chosen]
