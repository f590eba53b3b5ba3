"""The codes of a second step: those of an app (RFC 6238), and recovery codes for the day the phone is lost."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets

from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from webapp.services import audit
from webapp.services.audit import Actor
from webapp.store.fields import now
from webapp.store.models import Authenticator, RecoveryCode, User

SECONDS = 30
DIGITS = 6
RECOVERY_CODES = 10
ALPHABET = "ABCDEFGHJKMNPQRSTVWXYZ23456789"  # nothing that is misread
APP_CODE = re.compile(f"[0-9]{{{DIGITS}}}")


def is_on(user: User) -> bool:
    return bool(
        Authenticator.select()
        .where(Authenticator.user == user, Authenticator.on_since.is_null(False))
        .exists()
    )


def bucket(user: User) -> str:
    """Where tries of codes are counted, at sign-in and on the account's page together."""
    return f"code {user.id}"


def new_secret() -> str:
    return base64.b32encode(secrets.token_bytes(20)).decode()


def totp(secret: str) -> TOTP:
    """SHA-1, six digits, thirty seconds: the only kind that every app can do."""
    return TOTP(base64.b32decode(secret), DIGITS, SHA1(), SECONDS)


def spend(user: User, code: str, actor: Actor) -> bool:
    """Whether this code of the app, or recovery code, fits; it never does again. In the caller's transaction."""
    row: Authenticator | None = Authenticator.get_or_none(
        Authenticator.user == user, Authenticator.on_since.is_null(False)
    )
    if row is None:
        return False
    plain = re.sub(r"[\s-]", "", code)
    return take_step(row, plain) if APP_CODE.fullmatch(plain) else _take_recovery_code(user, plain, actor)


def take_step(row: Authenticator, code: str) -> bool:
    """Clocks differ: the code before and the one after will do. Of two who send the same one, only one gets in."""
    app = totp(Authenticator.secret.open(str(row.user_id), row.secret))
    present, sent = int(now().timestamp()) // SECONDS, code.encode("utf-8", "replace")
    fitting = [
        step for step in (present - 1, present, present + 1) if bytes_eq(app.generate(step * SECONDS), sent)
    ]
    if not fitting:
        return False
    taken = Authenticator.update(step=max(fitting)).where(
        Authenticator.id == row.id, Authenticator.step < max(fitting)
    )
    return bool(taken.execute())


def codes_left(user: User) -> int:
    return int(RecoveryCode.select().where(RecoveryCode.user == user).count())


def new_codes(user: User) -> list[str]:
    """In place of those there were. In the caller's transaction; nobody sees them again."""
    RecoveryCode.delete().where(RecoveryCode.user == user).execute()
    made = ["-".join(_letters() for _ in range(3)) for _ in range(RECOVERY_CODES)]
    for code in made:
        RecoveryCode.create(user=user, code_hash=_hash(user, code.replace("-", "")))
    return made


def _take_recovery_code(user: User, code: str, actor: Actor) -> bool:
    hashed = _hash(user, code.upper())
    gone = RecoveryCode.delete().where(RecoveryCode.user == user, RecoveryCode.code_hash == hashed).execute()
    if gone:
        audit.record("second_step.code_spent", actor, details={"left": codes_left(user)}, agents_notice=False)
    return bool(gone)


def _letters() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(5))


def _hash(user: User, code: str) -> str:
    """Fifteen random letters are too many to try, so no slow hash is needed."""
    return hashlib.sha256(f"{user.id}:{code}".encode("utf-8", "replace")).hexdigest()
