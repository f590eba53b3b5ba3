"""The log: who did what, in an append-only chain that shows any later edit.

`digest = HMAC-SHA256(log key, previous digest + canonical row)`. The key is sealed in the database, so that
writing to the database file alone is not enough to forge a chain. A cut-off tail shows against a head that was
kept elsewhere (`verify-log` prints it). Where the log is not kept for ever, old rows go in segments (segments.py):
a segment's seal holds the digest of its last row, and the chain goes on from there.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from peewee import Database

from webapp.store import generation
from webapp.store.database import snapshot
from webapp.store.fields import now, storable
from webapp.store.models import Entry, Segment, State, database, remember, state
from webapp.store.rows import insert_rows
from webapp.store.secrets import vault
from webapp.upstream.strict import canonical, in_order

START = bytes(32)
BITE = 1_000  # rows read at once: a walk through a million holds no more than these
COLUMNS = ("at", "kind", "actor_kind", "actor", "action", "integration", "tool", "policy",
           "outcome", "duration_ms", "approval", "ip", "details", "digest")  # fmt: skip
KEY, BEGINS = "log_key", "log_begins"  # in State, sealed
_log_keys: WeakKeyDictionary[Database, bytes] = WeakKeyDictionary()


@dataclass(frozen=True)
class Actor:
    """Who acts. `kind`: user, agent, command (the command line) or system (a schedule, a recovery)."""

    kind: str
    name: str
    id: int | None = None
    role: str = ""
    ip: str = ""


SYSTEM = Actor("system", "Gatehouse")
COMMAND = Actor("command", "command line", role="admin")


@dataclass
class Row:
    """One row to be: the columns of Entry that somebody else than the log decides."""

    kind: str
    actor: Actor
    action: str
    integration: str = ""
    tool: str = ""
    policy: str = ""
    outcome: str = "ok"
    duration_ms: float | None = None
    approval: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    at: datetime = field(default_factory=now)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"at": self.at.isoformat()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Row:
        return cls(**data | {"actor": Actor(**data["actor"]), "at": datetime.fromisoformat(data["at"])})


def record(
    action: str,
    actor: Actor,
    *,
    integration: str = "",
    tool: str = "",
    outcome: str = "ok",
    approval: str = "",
    details: dict[str, Any] | None = None,
    agents_notice: bool = True,
    tools: Iterable[int] | None = None,
) -> None:
    """Log one administrative change. Call it inside the transaction that makes the change.

    Raises the generation too, so that every worker drops what it remembered before its next call; pass
    `agents_notice=False` for what no agent can notice (sign-ins), which anybody could cause at will, and as
    `tools` the only ones that it is about, where they are known.
    """
    row = Row(
        "change", actor, action, integration, tool, outcome=outcome, approval=approval, details=details or {}
    )
    append([row])
    if agents_notice:
        generation.raise_by_one(tools)


def append(rows: Iterable[Row]) -> None:
    """Add rows to the chain, inside the caller's write transaction (writers take turns, which keeps the chain
    straight and its ids without gaps)."""
    key, (id, previous), chained = log_key(), _end(), []
    for row in rows:
        values = _values(row)
        previous, id = _digest(key, previous, values), id + 1
        stored = values | {"at": Entry.at.db_value(values["at"]), "digest": previous}
        chained.append([id, *stored.values()])
    insert_rows(database, _insert(database.param), chained)


def head() -> bytes:
    return _end()[1]


def _end() -> tuple[int, bytes]:
    """Id and digest of the last row."""
    last = database.execute_sql('SELECT "id", "digest" FROM "entry" ORDER BY "id" DESC LIMIT 1').fetchone()
    if last is None:
        end = sealed()
        return end.last_id, end.digest
    return last[0], bytes(last[1])


@dataclass(frozen=True)
class Verification:
    rows: int
    head: str  # hex; keep it elsewhere to notice a cut-off tail
    first_bad: int | None = None  # id of the first row that doesn't fit
    sealed: int = 0  # rows that came before and were removed, as the log was not to be kept for ever
    unchecked: int = 0  # rows of before the log's key was lost: nobody can check them any more

    @property
    def intact(self) -> bool:
        return self.first_bad is None


@dataclass(frozen=True)
class Sealed:
    """The end of what is sealed: from here the chain goes on. `mac` of the last segment; `forged` is the first id
    of a segment that Gatehouse did not write."""

    last_id: int = 0
    digest: bytes = START
    mac: bytes = START
    rows: int = 0
    forged: int | None = None

    @property
    def next_id(self) -> int | None:
        """None at the very beginning: the first row may have any id."""
        return self.last_id + 1 if self.last_id else None


def verify() -> Verification:
    """Walk the whole chain. An edited, removed or moved row is named by the first id that doesn't fit."""
    with snapshot():
        return verify_in(database.obj)


def verify_in(where: Database, *, breath: float = 0) -> Verification:
    """The same in a copy of our database. `breath`: seconds of rest after each bite, for calls that go on beside."""
    end = sealed(where)
    if end.forged is not None:
        return Verification(0, end.digest.hex(), end.forged, end.rows)
    found = follow(_after(end.last_id, where, breath), end.digest, end.next_id)
    older = Entry.select().where(Entry.id <= _beginning(where).last_id).bind(where).count()
    return replace(found, sealed=end.rows, unchecked=older)


def _after(id: int, where: Database, breath: float) -> Iterator[Entry]:
    while found := list(Entry.select().where(Entry.id > id).order_by(Entry.id).limit(BITE).bind(where)):
        yield from found
        id = found[-1].id
        time.sleep(breath)


def follow(rows: Iterable[Entry], previous: bytes, expected_id: int | None) -> Verification:
    """Whether these rows are what comes after the digest `previous`."""
    key, count = log_key(), 0
    for entry in rows:
        digest = _digest(key, previous, _stored_values(entry))
        gap = expected_id is not None and entry.id != expected_id
        if gap or not hmac.compare_digest(digest, bytes(entry.digest)):
            return Verification(count, previous.hex(), entry.id)
        previous, count, expected_id = digest, count + 1, entry.id + 1
    return Verification(count, previous.hex())


def begin_anew() -> None:
    """The log's key is lost. What is there stays, and another chain begins after it, under a key of its own. In the
    caller's transaction."""
    last = Entry.select().order_by(Entry.id.desc()).first()
    end = (
        (last.id, last.digest)
        if last
        else Segment.select(Segment.last_id, Segment.digest).order_by(Segment.last_id.desc()).tuples().first()
    )
    _log_keys.pop(database.obj, None)
    State.delete().where(State.key == KEY).execute()
    if end:
        remember(BEGINS, vault.seal(f"state:{BEGINS}", [end[0], bytes(end[1]).hex()]).decode())


def _beginning(where: Database) -> Sealed:
    """Where the chain begins that can be checked."""
    kept = State.select().where(State.key == BEGINS).bind(where).first()
    if kept is None:
        return Sealed()
    last_id, digest = vault.open(f"state:{BEGINS}", kept.value.encode())
    return Sealed(last_id, bytes.fromhex(digest))


def sealed(where: Database | None = None) -> Sealed:
    where = where or database.obj
    end = _beginning(where)
    for segment in Segment.in_order().where(Segment.first_id > end.last_id).bind(where):
        fits = segment.first_id == (end.next_id or segment.first_id)
        if not fits or not hmac.compare_digest(seal(segment, end.mac), bytes(segment.mac)):
            return replace(end, forged=segment.first_id)
        end = Sealed(segment.last_id, bytes(segment.digest), bytes(segment.mac), end.rows + segment.count)
    return end


def seal(segment: Segment, previous: bytes) -> bytes:
    """What only somebody with the log's key can write over a segment and the seal before it."""
    names = ("first_id", "last_id", "count", "first_at", "last_at", "sealed_at")
    values = {name: str(getattr(segment, name)) for name in names} | {"digest": bytes(segment.digest).hex()}
    return hmac.digest(log_key(), b"segment" + previous + canonical(values), "sha256")


@cache
def _insert(param: str) -> str:
    """Peewee would build the same statement anew for each row, which takes ten times as long as running it."""
    return Entry.insertion([getattr(Entry, name) for name in ("id", *COLUMNS)], param)


def log_key() -> bytes:
    """The same for the life of a database, so each process opens it once."""
    known = _log_keys.get(database.obj)
    if known is None:
        known = _log_keys[database.obj] = _read_log_key()
    return known


def secret_for(purpose: str) -> bytes:
    """Another use of a secret that all workers and machines of this database share, and that outlives the key file's
    keys, e.g. for signing forms."""
    return hmac.digest(log_key(), purpose.encode(), "sha256")


def _read_log_key() -> bytes:
    sealed = state(KEY)
    if sealed is None:
        sealed = vault.seal(f"state:{KEY}", os.urandom(32).hex()).decode()
        State.insert(key=KEY, value=sealed).on_conflict_ignore().execute()
        sealed = state(KEY)
    return bytes.fromhex(vault.open(f"state:{KEY}", sealed.encode()))


def _values(row: Row) -> dict[str, Any]:
    """In the order of COLUMNS."""
    return {
        "at": row.at.replace(microsecond=row.at.microsecond // 1000 * 1000),
        "kind": row.kind,
        "actor_kind": row.actor.kind,
        "actor": _one_line(row.actor.name),
        "action": row.action,
        "integration": row.integration,
        "tool": _one_line(row.tool),
        "policy": row.policy,
        "outcome": row.outcome,
        "duration_ms": None if row.duration_ms is None else round(row.duration_ms, 2),
        "approval": row.approval,
        "ip": row.actor.ip,
        "details": storable(in_order(row.details).decode("utf-8", "surrogatepass")),
    }


def _stored_values(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in COLUMNS if name != "digest"}


def _digest(key: bytes, previous: bytes, values: dict[str, Any]) -> bytes:
    text = in_order(values | {"at": values["at"].isoformat()})
    return hmac.digest(key, previous + text, "sha256")


def _one_line(text: str) -> str:
    """Log rows are lines to other programs: control characters are written out."""
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
