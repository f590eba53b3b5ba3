"""The first run: a code that was printed on the machine makes the first admin."""

from __future__ import annotations

import hmac
import os
import re
import secrets
from pathlib import Path

from webapp.errors import InvalidInput, NotFound
from webapp.services import accounts, audit, passwords, throttle
from webapp.services.audit import Actor
from webapp.services.throttle import Limit
from webapp.store.database import writing
from webapp.store.models import User

SETUP_CODE_FILE = "setup-code"
ALPHABET = "ABCDEFGHJKMNPQRSTVWXYZ23456789"  # nothing that is misread
SETUP_CODE = re.compile(rf"[{ALPHABET}]{{5}}(-[{ALPHABET}]{{5}}){{3}}")


def is_set_up() -> bool:
    return bool(User.select().exists())


def setup_code(data: Path) -> str | None:
    """The one-time code that makes the first admin; None once there is an account."""
    if is_set_up():
        return None
    path = data / SETUP_CODE_FILE
    if not _whole_code(path):
        _write_code(path)
    return path.read_text().strip()


def _whole_code(path: Path) -> bool:
    """A file that a crash or a full disk left empty would let everybody in."""
    return path.exists() and bool(SETUP_CODE.fullmatch(path.read_text().strip()))


def _write_code(path: Path) -> None:
    """Never there by halves. Of two workers that start at once the first to link its file wins."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("-".join("".join(secrets.choice(ALPHABET) for _ in range(5)) for _ in range(4)))
    try:
        os.link(draft, path)
    except FileExistsError:
        if not _whole_code(path):
            os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def make(data: Path, code: str, email: str, name: str, password: str, ip: str, limit: Limit) -> User:
    """Closes for ever behind the first admin: raises NotFound from then on."""
    expected = setup_code(data)
    if expected is None:
        raise NotFound("Set-up is done already.", next_step="Sign in.")
    throttle.count(f"setup {throttle.network(ip)}", limit)
    if not hmac.compare_digest(_plain(code), _plain(expected)):
        raise InvalidInput(
            "This is not the set-up code.", field="code",
            next_step="It was printed when Gatehouse started; “flask --app webapp setup-code” prints it again.",
        )  # fmt: skip
    values = accounts.checked(email, name, password, "admin")
    hashed = passwords.hashed(password)
    with writing():
        if is_set_up():
            raise NotFound("Set-up is done already.", next_step="Sign in.")
        user: User = User.create(**values, password_hash=hashed)
        audit.record("user.added", Actor("user", user.email, user.id, "admin", ip), details={"email": user.email,
                     "role": "admin", "first": True}, agents_notice=False)  # fmt: skip
    (data / SETUP_CODE_FILE).unlink(missing_ok=True)
    return user


def _plain(code: str) -> bytes:
    return re.sub(r"[^A-Z0-9]", "", code.upper()).encode()
