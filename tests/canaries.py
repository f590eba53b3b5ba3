"""Looking for secrets where none may be: as they are, and in every dress a program is likely to put them into."""

from __future__ import annotations

import base64
import re
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

SHORTEST = 12
# Every dress of a secret is one run of these; most runs of most pages are on others too.
RUN = re.compile(rb"[\w%+/=~.-]{12,}")


def dresses(secret: str) -> set[bytes]:
    """The secret itself; form-encoded, percent-encoded throughout, in hexadecimal, and as a part of any base64."""
    raw = secret.encode()
    assert len(raw) >= SHORTEST and RUN.fullmatch(raw), "would be found by chance, or not at all"
    found = {raw, quote(secret, safe="").encode(), quote_plus(secret).encode(), raw.hex().encode()}
    found |= {raw.hex().upper().encode(), "".join(f"%{byte:02X}" for byte in raw).encode()}
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(bytes(before) + raw)
            # Only the characters that no neighbour has a share in.
            found.add(whole[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6])
    return found


def leaks(secrets: Iterable[str], places: Mapping[str, bytes]) -> list[str]:
    """`place: secret` for each that was found; of several places with the same run, the first."""
    wanted = {secret: dresses(secret) for secret in secrets}
    known: set[bytes] = set()
    found = []
    for place, content in places.items():
        runs = set(RUN.findall(content)) - known
        known |= runs
        text = b"\n".join(runs)
        found += [
            f"{place}: {secret[:40]}"
            for secret, dressed in wanted.items()
            if any(dress in text for dress in dressed)
        ]
    return found


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows_of(database: Path) -> bytes:
    """All that SQL can read: in the file, a long value may be spread over several pages."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        rows = [row for table in tables for row in connection.execute(f'SELECT * FROM "{table}"')]
    connection.close()
    return b"\n".join(
        value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
        for row in rows
        for value in row
    )
