"""How the store says no."""

from __future__ import annotations

from collections.abc import Iterator

from webapp.errors import Refused


class StoreProblem(Refused):
    """The database can't be used; the sentence says what to do. `reason` is the same for programs (/readyz)."""

    status = 503

    def __init__(self, what: str, *, reason: str = "database", why: str = "", next_step: str = "") -> None:
        super().__init__(what, why=why, next_step=next_step)
        self.reason = reason


# What stands in a driver's error → the reason, what happened, what to do.
TROUBLES = (
    (("disk is full", "DiskFull", "No space left", "could not extend"), "disk_full",
     "The disk of the database is full.", "Make room on it. Gatehouse goes on by itself then."),
    (("disk I/O error",), "disk_error",
     "The disk of the database can't be written or read.",
     "Look whether it is full, mounted and healthy. Gatehouse goes on by itself then."),
    (("readonly", "read-only"), "database_read_only",
     "The database can't be written: it is read-only.",
     "Give Gatehouse's user the right to write it and its folder. Gatehouse goes on by itself then."),
    (("malformed", "not a database"), "database_damaged",
     "The database is damaged.",
     "Stop Gatehouse and put the last good backup in place: flask --app webapp restore PATH"),
    (("unable to open", "no such table", "does not exist"), "database_missing",
     "The database is not where it should be, or not whole.",
     "Look whether its disk is mounted; else put the last good backup in place."),
    (("locked", "lock timeout"), "database_busy",
     "Another program holds the database.", "Stop whatever else has it open for long."),
)  # fmt: skip


def _story(error: BaseException | None) -> Iterator[str]:
    """What went wrong first may stand behind what went wrong because of it."""
    while error is not None:
        yield f"{type(error).__name__}: {error}"
        error = error.__cause__ or error.__context__


def explained(error: Exception) -> StoreProblem:
    """A driver's error in words that an admin can act on."""
    said = " ".join(_story(error))
    for signs, reason, what, next_step in TROUBLES:
        if any(sign in said for sign in signs):
            return StoreProblem(what, reason=reason, next_step=next_step)
    return StoreProblem(
        "The database could not be used.", reason="database_unreachable", why=f"{str(error).partition(chr(10))[0]}.",
        next_step="Look whether it runs and can be reached. Gatehouse goes on by itself then.",
    )  # fmt: skip
