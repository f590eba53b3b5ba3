"""Agents: programs that call tools, each with its own key and its own limits."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import datetime

from webapp.errors import InvalidInput, NotFound
from webapp.services import audit
from webapp.services.accounts import needs
from webapp.services.audit import Actor
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Agent, AgentIntegration, Integration, User

NAME = re.compile(r"[^\x00-\x1f\x7f]{1,60}")
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def create(
    name: str,
    actor: Actor,
    *,
    owner: User | None = None,
    integrations: Iterable[Integration] | None = None,
    expires_at: datetime | None = None,
) -> tuple[Agent, str]:
    """The agent and its key. The key is not kept and can't be shown again."""
    needs(actor, "admin")
    name = _free_name(name)
    _check_expiry(expires_at)
    prefix, key = _new_key()
    with writing():
        agent: Agent = Agent.create(
            name=name,
            key_prefix=prefix,
            key_hash=hash_key(key),
            owner=owner or (actor.id if actor.kind == "user" else None),
            every_integration=integrations is None,
            expires_at=expires_at,
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


def set_expiry(agent: Agent, expires_at: datetime | None, actor: Actor) -> None:
    needs(actor, "admin")
    _check_expiry(expires_at)
    with writing():
        Agent.update(expires_at=expires_at).where(Agent.id == agent.id).execute()
        audit.record("agent.expiry", actor, details={"agent": agent.name, "expires_at": expires_at})


def replace_key(agent: Agent, actor: Actor) -> str:
    """A new key; the old one stops at once."""
    needs(actor, "admin")
    prefix, key = _new_key()
    with writing():
        changes = {"key_prefix": prefix, "key_hash": hash_key(key), "revoked_at": None}
        Agent.update(**changes).where(Agent.id == agent.id).execute()
        audit.record("agent.key_replaced", actor, details={"agent": agent.name, "key": prefix})
    return key


def revoke(agent: Agent, actor: Actor) -> None:
    needs(actor, "admin")
    with writing():
        Agent.update(revoked_at=now()).where(Agent.id == agent.id).execute()
        audit.record("agent.revoked", actor, details={"agent": agent.name, "key": agent.key_prefix})


def by_name(name: str) -> Agent:
    agent: Agent | None = Agent.get_or_none(Agent.name == name)
    if agent is None:
        raise NotFound(f"There is no agent called {name[:60]}.")
    return agent


def get(agent_id: int) -> Agent:
    agent: Agent | None = Agent.get_or_none(Agent.id == agent_id)
    if agent is None:
        raise NotFound("There is no such agent.")
    return agent


def note_use(agent_id: int) -> None:
    """In the caller's transaction."""
    Agent.update(last_used_at=now()).where(Agent.id == agent_id).execute()


def hash_key(key: str) -> str:
    """A key is 256 random bits, so a fast hash is enough."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _new_key() -> tuple[str, str]:
    prefix = "gh_" + "".join(secrets.choice(ALPHABET) for _ in range(8))
    return prefix, f"{prefix}_{secrets.token_urlsafe(32)}"


def _free_name(name: str) -> str:
    name = name.strip()
    if not NAME.fullmatch(name):
        raise InvalidInput("An agent's name has 1 to 60 characters.", field="name")
    if Agent.get_or_none(Agent.name == name):
        raise InvalidInput(f"There is already an agent called “{name}”.", field="name")
    return name


def _check_expiry(expires_at: datetime | None) -> None:
    if expires_at is not None and expires_at <= now():
        raise InvalidInput("The expiry lies in the past.", field="expires")


def _grant(agent: Agent, integrations: Iterable[Integration]) -> list[str]:
    chosen = list(integrations)
    for integration in chosen:
        AgentIntegration.create(agent=agent, integration=integration)
    return [integration.name for integration in chosen]
