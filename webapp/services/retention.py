"""How long the log is kept: for ever, or for a number of days, after which its rows go in sealed segments."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from config import Config
from webapp.errors import InvalidInput, NotFound
from webapp.services import audit, segments, turns
from webapp.services.audit import SYSTEM, Actor
from webapp.services.roles import needs
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Entry, Segment, State, remember, state

FEWEST_DAYS, MOST_DAYS = 35, 3650  # Home shows thirty days, with the same numbers as the log
EVERY = timedelta(days=1)
FOLDER = "log"


@dataclass(frozen=True)
class Retention:
    """`days` 0: for ever. `files`: a copy of what goes is kept beside the database."""

    days: int = 0
    files: bool = True

    @property
    def oldest(self) -> datetime | None:
        """Rows before this may go; a midnight, UTC."""
        day = now().date() - timedelta(days=self.days)
        return datetime.combine(day, time.min, UTC) if self.days else None


@dataclass
class _Settings:
    data: Path = Path("data")


_settings = _Settings()


def configure(config: Config) -> None:
    _settings.data = config.data


def current() -> Retention:
    return Retention(**state("retention", {}))


def wanted(days: str, files: bool) -> Retention:
    """Raises InvalidInput for what can't be. No days: for ever."""
    text = days.strip()
    if not text:
        return Retention(0, files)
    count = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else -1
    if count and not FEWEST_DAYS <= count <= MOST_DAYS:
        raise InvalidInput(
            f"The log can be kept for {FEWEST_DAYS} to {MOST_DAYS:,} days, or for ever.", field="days",
            why=f"Home shows the last 30 days, so at least {FEWEST_DAYS} stay.",
            next_step="Leave the field empty to keep it for ever.",
        )  # fmt: skip
    return Retention(count, files)


def would_go(retention: Retention) -> int:
    """How many rows are older than that just now."""
    oldest = retention.oldest
    return int(Entry.select().where(Entry.at < oldest).count()) if oldest else 0


def change(retention: Retention, actor: Actor) -> None:
    needs(actor, "admin")
    before = current()
    with writing():
        remember("retention", asdict(retention))
        State.delete().where(State.key == "retention_due").execute()  # it holds from the next look on
        details = asdict(retention) | {"before": before.days}
        audit.record("log.kept", actor, details=details, agents_notice=False)


def take() -> bool:
    """True once a day, for one worker."""
    return turns.take("retention_due", EVERY)


def step() -> bool:
    """One bite of the work; True while there may be more. What it can't do is kept as `problem`."""
    retention = current()
    try:
        more = bool(segments.remove_sealed())
        if not more and (oldest := retention.oldest):
            folder = _settings.data / FOLDER if retention.files else None
            more = segments.seal_before(oldest, SYSTEM, folder) is not None
    except (segments.LogDoesNotFit, OSError) as error:
        _note_problem(str(error))
        return False
    if not more:
        _note_problem("")
    return more


def problem() -> str:
    return str(state("retention_problem", ""))


def newest_segments(most: int = 20) -> list[tuple[Segment, Path | None]]:
    """With their files, as far as they are still there."""
    rows = list(Segment.select().order_by(Segment.last_id.desc()).limit(most))
    return [(one, path if (path := _path(one)).exists() else None) for one in rows]


def file_of(segment_id: int, actor: Actor) -> Path:
    """Written down, as every export."""
    needs(actor, "admin")
    segment: Segment | None = Segment.get_or_none(Segment.id == segment_id)
    if segment is None or not _path(segment).exists():
        raise NotFound("There is no such file.", why="It was moved or deleted, or never kept.")
    with writing():
        audit.record("log.exported", actor, details={"as": _path(segment).name}, agents_notice=False)
    return _path(segment)


def _path(segment: Segment) -> Path:
    return _settings.data / FOLDER / segments.file_name(segment.first_id, segment.last_id)


def _note_problem(text: str) -> None:
    if text != problem():
        with writing():
            remember("retention_problem", text)
