"""The log in words: what every action is called, in one place."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from string import Formatter
from typing import Any

from webapp.services import policies, times
from webapp.store.models import Entry

MISSING = object()
STATES = {"needs_sign_in": "in need of a sign-in", "needs_review": "in need of a review"}
SYNCED = {
    "added": "new", "changed": "changed", "flagged": "flagged", "missing": "gone", "back": "back",
    "quarantined": "set aside",
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """How a call ended: the verb before the tool, the word after it, its tone."""

    verb: str
    word: str
    tone: str


OUTCOMES = {
    "ok": Outcome("called", "done", "ok"),
    "tool_error": Outcome("called", "the tool reported an error", "wait"),
    "waiting": Outcome("asked for", "waiting for approval", "wait"),
    "denied": Outcome("asked for", "denied", "stop"),
    "refused": Outcome("asked for", "refused", "stop"),
    "expired": Outcome("asked for", "nobody decided in time", "quiet"),
    "failed": Outcome("called", "failed", "stop"),
    "cancelled": Outcome("called", "the agent hung up", "quiet"),
    "unknown": Outcome("called", "outcome unknown", "stop"),
}
# What people look for together: words, and outcomes.
GROUPS = {
    "finished": ("ended, in whatever way", tuple(name for name in OUTCOMES if name != "waiting")),
    "stopped": ("denied or refused", ("denied", "refused")),
    "error": ("any error", ("tool_error", "failed", "unknown")),
}

# {tool} and {integration} are the entry's own; other names are keys of its details, and after the colon
# stands how to say them.
ACTIONS = {
    "policy.set": "set {tool} to {to:policy}",
    "policy.reset": "put {tool} back to its seed, {to:policy}",
    "tool.changed": "found a new definition of {tool}, which is set to {to:policy} now",
    "tool.flagged": "flagged {tool}, which is set to {to:policy} until somebody has looked",
    "tool.reviewed": "looked at {tool} and accepted it with {to:policy}",
    "policies.bulk": "set {tools:tools} {what}",
    "policies.bulk_undone": "undid a bulk change: put {tools:tools} {what}",
    "integration.added": "began to add {integration}",
    "integration.changed": "changed the address or the name of {integration}",
    "integration.private_allowed": "allowed {integration} to be in our own network, at {host}",
    "integration.finished": "finished the set-up of {integration}",
    "integration.discarded": "gave up the set-up of {integration}",
    "integration.synced": "synced {integration}: {:counts}",
    "integration.state": "found {integration} {to:state}; it was {from:state} before",
    "integration.renamed": "renamed {integration} from {from} to {to}",
    "integration.new_tools": "set what later tools of {integration} get: {to:ceiling}",
    "integration.patience": "set how long a call to {integration} may take",
    "integration.paused": "paused {integration}: {reason}",
    "integration.resumed": "resumed {integration}",
    "integration.switched_on": "switched on {integration}",
    "integration.switched_off": "switched off {integration}",
    "integration.configured": "changed the settings of {integration}",
    "integration.disconnected": "disconnected {integration}, and with it {tools:tools}",
    "connection.saved": "signed in to {integration}",
    "connection.replaced": "signed in to {integration} again",
    "connection.given_back": "gave the tokens of {integration} back to its sign-in service: {result}",
    "connection.client_entered": "entered a client id for {integration}, for {issuer}",
    "connection.dialect": "changed how {integration} is signed in to",
    "connection.needs_scope": "noted that {integration} wants more access: {scope}",
    "sign_in.begun": "began to sign in to {integration} at {issuer}",
    "sign_in.refused": "could not sign in to {integration}: {why}",
    "approval.approve": "approved a call of {tool} by {agent}",
    "approval.approve_same": "approved a call of {tool} by {agent}, and the same call until {until:moment}",
    "approval.deny": "denied a call of {tool} by {agent}",
    "approval.extended": "left a call of {tool} by {agent} open until {until:moment}",
    "approval.exported": "exported the history of approvals{filters:filters}",
    "standing.used": "made the same call of {tool} again, which {by} had approved",
    "standing.ended": "ended the approval of the same call of {tool} by {agent}",
    "tool.second_person_on": "set that {tool} needs a second person: an agent's owner can't approve its calls",
    "tool.second_person_off": "set that anybody may approve calls of {tool}",
    "approval.frozen": "put a call of {tool} that {by} had approved back to waiting: it was paused before it ran",
    "everything.stopped": "stopped {what}: {reason}",
    "everything.resumed": "let {what} run again",
    "agent.paused": "paused the agent {agent}: {reason}",
    "agent.resumed": "resumed the agent {agent}",
    "notices.changed": "changed how people are told of waiting calls, by {channel}",
    "notices.tested": "sent a test notice by {channel}",
    "notices.failed": "could not tell people of waiting calls by {channel}: {why}",
    "notices.recovered": "could tell people of waiting calls by {channel} again",
    "agent.added": "added the agent {agent}, for {integrations:limits}",
    "agent.limited": "limited the agent {agent} to {integrations:limits}",
    "agent.tool_search": "set the tool search of {agent}: {search}",
    "agent.quota": "set how much the agent {agent} may call",
    "agent.expiry": "let the key of {agent} work {expires_at:until}",
    "agent.key_replaced": "replaced the key of {agent}",
    "agent.revoked": "revoked the key of {agent}",
    "user.added": "added {email} as {role}",
    "user.invited": "invited {email} as {role}",
    "user.uninvited": "withdrew the invitation of {email}",
    "user.joined": "joined as {role} by the invitation of {by}",
    "user.role": "changed {email} from {from} to {to}",
    "user.role_followed": "changed {email} from {from} to {to}, as {provider} says",
    "user.disabled": "closed the account of {email}",
    "user.enabled": "opened the account of {email} again",
    "user.handed_over": "handed what hung on the login of {email} over to {to}",
    "user.renamed": "changed the name of {email} to {name}",
    "user.password": "changed the password of {email}",
    "second_step.on": "turned on their second step",
    "second_step.off": "turned off their second step",
    "second_step.codes": "made new recovery codes",
    "second_step.code_spent": "used a recovery code, of which {left} are left",
    "second_step.reset": "took away the second step of {email}",
    "second_step.required": "set who needs a second step: {roles:roles}",
    "session.started": "signed in{:provider}",
    "sign_on.joined": "came for the first time, as {role}, by {provider}",
    "sign_on.linked": "linked {email} to {provider}, in place of a password",
    "sign_on.unlinked": "ended the link of {email}, who signs in with a password now",
    "sign_on.refused": "could not sign in by a provider: {why}",
    "session.not_confirmed": "could not show that it was still them",
    "session.code_refused": "gave a wrong code at sign-in",
    "session.ended": "ended a session of {of}",
    "session.all_ended": "signed {of} out everywhere",
    "session.refused": "could not sign in",
    "inventory.exported": "exported servers and policies",
    "inventory.imported": "imported servers and policies from a file: {changes} changes",
    "backup.made": "made a backup",
    "backup.downloaded": "downloaded the backup {file}",
    "backup.failed": "could not make the daily backup: {why}",
    "log.exported": "exported the log as {as}{filters:filters}",
    "log.kept": "let the log be kept {days:kept}",
    "log.sealed": "removed {count:entries} from the log, all up to {last}, and sealed the gap",
    "key.lost": "began with a new key, as the old one was lost: {servers:servers} to sign in to again",
    "key.rotated": "rotated the key that seals the secrets",
}


@dataclass(frozen=True)
class Piece:
    """`kind`: words (ours), value (somebody else's words), or name (of a tool or an integration)."""

    kind: str
    text: str


@dataclass(frozen=True)
class Sentence:
    """Begins after the actor. `word` and `tone` are empty for what simply happened."""

    pieces: list[Piece]
    word: str = ""
    tone: str = ""


def tell(entry: Entry, zone: tzinfo = UTC) -> Sentence:
    """In the zone of whoever reads it."""
    if entry.kind == "call":
        outcome = OUTCOMES.get(entry.outcome, Outcome("called", entry.outcome, "quiet"))
        what = Piece("name", entry.tool) if entry.tool else Piece("words", _times(entry))
        called = [Piece("words", f"{outcome.verb} "), what]
        return Sentence(called, outcome.word, outcome.tone)
    pieces = _pieces(ACTIONS.get(entry.action, entry.action), entry, zone)
    return Sentence(pieces, "refused", "stop") if entry.outcome == "refused" else Sentence(pieces)


def by_noun() -> dict[str, list[tuple[str, str]]]:
    """{noun: [(action, its words)]}, to choose from."""
    nouns: dict[str, list[tuple[str, str]]] = {}
    for action, template in ACTIONS.items():
        words = "".join(
            f"{words}{'…' if name is not None else ''}" for words, name, *_ in Formatter().parse(template)
        )
        nouns.setdefault(action.partition(".")[0].replace("_", "-"), []).append((action, words))
    return nouns


def _times(entry: Entry) -> str:
    """One row for many calls: see gateway/floods."""
    return f"{_counted(json.loads(entry.details).get('times'), 'more call', 'more calls')} within a minute"


def _pieces(template: str, entry: Entry, zone: tzinfo) -> list[Piece]:
    details = json.loads(entry.details)
    pieces = []
    for words, name, how, _ in Formatter().parse(template):
        if words:
            pieces.append(Piece("words", words))
        if name in ("tool", "integration"):
            pieces.append(Piece("name", getattr(entry, name)))
        elif name is not None:
            known = not name or name in details
            pieces.append(
                Piece("value", _said(details[name] if name else details, how or "", zone) if known else "…")
            )
    return pieces


def _said(value: Any, how: str, zone: tzinfo) -> str:
    if how == "moment":
        return _moment(str(value), zone)
    return WAYS[how](value) if how in WAYS else str(value)


def _moment(text: str, zone: tzinfo) -> str:
    try:
        local = datetime.fromisoformat(text).astimezone(zone)
    except ValueError:
        return text
    return f"{local:%H:%M} {times.abbreviation(local)}"


def _limits(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "no integration"
    return "every integration"


def _filters(value: Any) -> str:
    said = value.items() if isinstance(value, dict) else ()
    return "".join(f", {name} {text}" for name, text in said)


def _counted(value: Any, one: str, more: str) -> str:
    return f"1 {one}" if value == 1 else f"{value} {more}"


WAYS: dict[str, Callable[[Any], str]] = {
    "policy": lambda value: policies.WORDS.get(str(value), str(value)),
    "ceiling": lambda value: policies.CEILING_WORDS.get(str(value), str(value)),
    "state": lambda value: STATES.get(value, str(value).replace("_", " ")),
    "counts": lambda value: ", ".join(
        f"{value[key]} {word}" for key, word in SYNCED.items() if value.get(key)
    ),
    "provider": lambda details: f" with {details['provider']}" if details.get("provider") else "",
    "tools": lambda value: _counted(value, "tool", "tools"),
    "entries": lambda value: _counted(value, "entry", "entries"),
    "servers": lambda value: _counted(value, "server", "servers"),
    "limits": _limits,
    "roles": lambda value: ", ".join(map(str, value)) if value else "nobody",
    "filters": _filters,
    "kept": lambda value: f"for {value} days" if value else "for ever",
    "until": lambda value: f"until {str(value)[:10]}" if value else "without an end",
}
