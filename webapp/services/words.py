"""What agents' programs say beside their calls. It comes in at any worker, and is kept for the others for a minute."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from webapp.store import generation
from webapp.store.fields import now
from webapp.store.models import LogLevel, State, Word

KEPT = timedelta(seconds=60)
MOST_PER_AGENT = 50
LEVEL_KEPT = timedelta(days=7)


def leave(agent_id: int, session: str, kind: str, about: str, said: Any = None) -> None:
    """In the caller's transaction. More than a program would say in a minute is dropped. Raises the generation: that
    is how those whom it concerns come to look."""
    Word.delete().where(Word.at < now() - KEPT).execute()
    if Word.select().where(Word.agent == agent_id).count() >= MOST_PER_AGENT:
        return
    sealed = None if said is None else Word.said.seal(about, said)
    Word.insert(
        number=_count_on(), agent=agent_id, session=session, kind=kind, about=about, said=sealed, at=now()
    ).execute()
    generation.raise_by_one(tools=())


def after(number: int) -> list[Word]:
    return list(Word.select().where(Word.number > number).order_by(Word.number))


def said_in(word: Word) -> Any:
    return Word.said.open(word.about, word.said)


def taken(numbers: list[int]) -> None:
    """They have reached whom they concern. In the caller's transaction."""
    Word.delete().where(Word.number.in_(numbers)).execute()


def set_level(agent_id: int, session: str, level: str) -> None:
    """In the caller's transaction. It outlives no long silence: sessions have no end that we hear of. Raises the
    generation where it is another level than before."""
    LogLevel.delete().where(LogLevel.at < now() - LEVEL_KEPT).execute()
    moment, mine = now(), (LogLevel.agent == agent_id) & (LogLevel.session == session)
    same = LogLevel.select().where(mine, LogLevel.level == level).exists()
    LogLevel.insert(agent=agent_id, session=session, level=level, at=moment).on_conflict(
        conflict_target=[LogLevel.agent, LogLevel.session],
        update={LogLevel.level: level, LogLevel.at: moment},
    ).execute()
    if not same:
        generation.raise_by_one(tools=())


def levels() -> dict[tuple[int, str], str]:
    """By agent and session."""
    rows = LogLevel.select(LogLevel.agent, LogLevel.session, LogLevel.level).tuples()
    return {(agent_id, session): level for agent_id, session, level in rows}


def _count_on() -> int:
    State.insert(key="words", value=1).on_conflict(
        conflict_target=[State.key],
        update={State.value: (State.value.cast("integer") + 1).cast("text")},
    ).execute()
    return int(State.get_by_id("words").value)
