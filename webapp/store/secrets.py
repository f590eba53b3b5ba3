"""Secrets at rest: one key file, and a vault that seals JSON values to the record they belong to."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from webapp.errors import Refused


class KeyProblem(Refused):
    """The key file is missing, too open, or not the one this database was sealed with. `reason`: for programs."""

    status = 503

    def __init__(self, what: str, *, reason: str = "key_wrong", why: str = "", next_step: str = "") -> None:
        super().__init__(what, why=why, next_step=next_step)
        self.reason = reason


class Vault:
    """Opened once per process by `store.open_store`; every method raises KeyProblem before that.

    It looks at the key file again whenever that was replaced, so that a rotation needs no restart.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._read_at: tuple[int, int] = (0, 0)
        self._keys: list[bytes] = []
        self._ids: list[str] = []
        self._fernet: MultiFernet | None = None

    def unlock(self, path: Path) -> None:
        self._path = path
        self._load(path)

    def seal(self, record: str, value: Any) -> bytes:
        """The record's name goes inside the envelope, so that a row can't borrow another row's secret."""
        return self._ready().encrypt(json.dumps([record, value]).encode())

    def open(self, record: str, sealed: bytes) -> Any:
        try:
            name, value = json.loads(self._ready().decrypt(sealed))
        except InvalidToken as error:
            raise KeyProblem(
                "A stored secret can't be opened with this key file.",
                why="The key file was replaced, or the database comes from another installation.",
                next_step="Put the right key file back, or sign in to the servers again.",
            ) from error
        if name != record:
            raise KeyProblem(f"A stored secret of {name} was found at {record} and is refused.")
        return value

    def is_newest(self, sealed: bytes) -> bool:
        """Whether it is sealed with the first key."""
        self._ready()
        try:
            Fernet(self._keys[0]).decrypt(sealed)
        except InvalidToken:
            return False
        return True

    def rotate(self, sealed: bytes) -> bytes:
        """The same secret under the first key."""
        return self._ready().rotate(sealed)

    def derive(self, purpose: str) -> bytes:
        """32 bytes for another use of the first key, e.g. signing the session cookie."""
        self._ready()
        return _derived(self._keys[0], purpose)

    @property
    def key_id(self) -> str:
        return self.key_ids[0]

    @property
    def key_ids(self) -> list[str]:
        """Of all that it opens with, the sealing one first."""
        self._ready()
        return self._ids

    def _ready(self) -> MultiFernet:
        if self._fernet is None or self._path is None:
            raise KeyProblem("The key file has not been read yet.")
        if self._path.exists() and _version(self._path) != self._read_at:
            self._load(self._path)
        return self._fernet

    def _load(self, path: Path) -> None:
        """A file that is replaced while it is read is read again at the next use."""
        version = _version(path) if path.exists() else (0, 0)
        keys = read_keys(path)
        self._read_at = version
        self._keys = keys
        self._ids = [id_of(key) for key in keys]
        self._fernet = MultiFernet([Fernet(key) for key in keys])


def id_of(key: bytes) -> str:
    """Tells keys apart without saying anything about them."""
    return _derived(key, "key-id").hex()[:8]


def _derived(key: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(key)


def _version(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_ino


vault = Vault()


def read_keys(path: Path) -> list[bytes]:
    """Fernet keys of the file, one a line, the sealing one first; makes the file where there is none."""
    if not path.exists():
        _create(path)
    try:
        if path.stat().st_mode & 0o077:
            raise KeyProblem(
                f"The key file {path} can be read by others.", reason="key_open",
                next_step=f"Run: chmod 600 {path}",
            )  # fmt: skip
        keys = path.read_bytes().split()
    except PermissionError as error:
        raise KeyProblem(
            f"Gatehouse may not read the key file {path}.", reason="key_unreadable",
            next_step="Make it the file of the user that Gatehouse runs as, with mode 600.",
        ) from error  # fmt: skip
    if not keys or not all(map(_fits, keys)):
        raise KeyProblem(
            f"The key file {path} is {'damaged' if keys else 'empty'}.", reason="key_damaged",
            next_step="Restore it from your own copy.",
        )  # fmt: skip
    return keys


def _fits(key: bytes) -> bool:
    try:
        return len(base64.urlsafe_b64decode(key)) == 32
    except ValueError:
        return False


def write_keys(path: Path, keys: list[bytes]) -> None:
    """Replaced whole or not at all: a crash leaves the old file or the new one."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")  # two workers may write at once
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(b"\n".join(keys) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def _create(path: Path) -> None:
    """Two workers may start at once: the first to link its file wins, the other reads that one."""
    draft = path.with_suffix(f".{os.getpid()}")
    write_keys(draft, [Fernet.generate_key()])
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
