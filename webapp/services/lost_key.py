"""The key file is lost and nobody has a copy: what was sealed with it goes, everything else stays."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from webapp.errors import Stale
from webapp.services import approvals, audit, backups
from webapp.services.audit import Actor
from webapp.services.roles import needs
from webapp.store import copies
from webapp.store.database import KEY_FILE, migrate, writing
from webapp.store.fields import now
from webapp.store.models import (
    Approval,
    Authenticator,
    Connection,
    Grant,
    Integration,
    NoticeChannel,
    OAuthClient,
    RecoveryCode,
    SignIn,
    SignOn,
    Word,
    database,
    state,
)
from webapp.store.secrets import KeyProblem, vault

# Of key files that can't be used these are lost; the others want another mode or owner.
LOST = ("key_wrong", "key_damaged")
WHY = "The key that its sign-in was sealed with was lost."
GONE = {"(lost)": "The key that the arguments were sealed with was lost."}


@dataclass(frozen=True)
class Forgotten:
    """How many must do something about it; `approvals` waited and were withdrawn."""

    servers: int
    second_steps: int
    approvals: int
    channels: int


def forget(data: Path, folder: Path, actor: Actor) -> Forgotten:
    """A new key, and nothing in the database that only the old one opens. A copy of it as it was goes to `folder`, for
    the day on which the key turns up. Raises Stale where nothing is lost, and while Gatehouse runs."""
    needs(actor, "admin")
    path = data / KEY_FILE
    _refuse_unless_lost(path)
    backups.refuse_while_running()
    with database.obj.alone():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        copy = folder / copies.name_of(now(), "new_key")
        copy.unlink(missing_ok=True)  # of a moment ago, when this was cut off
        copies.make(backups.write_file, copy)
        if path.exists():
            path.rename(path.with_name(f"{path.name}.before-{now():%Y%m%dT%H%M%S%fZ}"))
        vault.unlock(path)
        migrate(database.obj, folder)
    with database.connection_context(), writing():
        audit.begin_anew()
        done = _forget()
        audit.record("key.lost", actor, details=asdict(done))
    return done


def _refuse_unless_lost(path: Path) -> None:
    sealed = state(audit.KEY) if "state" in database.get_tables() else None
    if sealed is None:
        raise Stale(
            "Nothing is sealed in this database.", next_step="Start Gatehouse: it makes a key by itself."
        )
    if not path.exists():
        return
    try:
        vault.unlock(path)
        vault.open(f"state:{audit.KEY}", sealed.encode())
    except KeyProblem as problem:
        if problem.reason not in LOST:
            raise
    else:
        raise Stale(
            "The key file opens this database: no secret is lost.",
            next_step="To have another key, run rotate-key.",
        )


def _forget() -> Forgotten:
    """Rows keep what was never secret: the names of headers, who an app is at a sign-in service."""
    withdrawn = approvals.withdraw_all("the key that it was sealed with was lost")
    servers = _forget_sign_ins()
    for approval in Approval.select(Approval.id):
        sealed = Approval.arguments.seal(approval.id, GONE)
        changes = {"arguments": sealed, "asked_with": None, "result": None}
        Approval.update(**changes).where(Approval.id == approval.id).execute()
    Word.delete().execute()
    Integration.update(settings_sealed=None).execute()
    with_secret = NoticeChannel.secret.is_null(False)
    off = {
        "secret": None,
        "on": False,
        "problem": "Its password or address was lost with the key. Enter it again.",
    }
    channels = NoticeChannel.update(**off).where(with_secret).execute()
    RecoveryCode.delete().execute()
    return Forgotten(servers, Authenticator.delete().execute(), withdrawn, channels)


def _forget_sign_ins() -> int:
    OAuthClient.delete().where(OAuthClient.secret.is_null(False)).execute()
    SignIn.delete().where(SignIn.verifier.is_null(False)).execute()
    SignOn.delete().where(SignOn.secrets.is_null(False)).execute()
    lost = []
    for grant in Grant.select():
        tokens = Grant.tokens.seal(str(grant.integration_id), {"access": "", "refresh": ""})
        changes = {"tokens": tokens, "renewable": False, "expires_at": now(), "problem": WHY, "lease_by": ""}
        Grant.update(**changes).where(Grant.id == grant.id).execute()
        lost.append(grant.integration_id)
    for connection in Connection.select().where(Connection.secrets.is_null(False)):
        empty = Connection.secrets.seal(str(connection.integration_id), [""] * len(connection.headers))
        Connection.update(secrets=empty).where(Connection.id == connection.id).execute()
        lost.append(connection.integration_id)
    told = {"state": "needs_sign_in", "state_reason": WHY}
    Integration.update(**told).where(
        Integration.id.in_(lost), Integration.state.not_in(("draft", "paused"))
    ).execute()
    return len(lost)
