"""Reads the words of a tool's name: which verb leads, and whether a verb behind it changes anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from webapp.services.seeding.finding import NOTHING, Finding, Says
from webapp.services.seeding.inflection import VERBS, Form, Role, Verb
from webapp.services.seeding.things import (
    ANYTHING_GOES,
    JOINERS,
    MANNER,
    PREPOSITIONS,
    READING_LANGUAGES,
    STATE,
    STORES,
)
from webapp.services.seeding.verbs import HARMLESS_ERRANDS, LEADING_ALTERS, NOT_HARMLESS, RUNNERS

LOOKS = (Role.LOOK, Role.LOOK_OR_THING)
NONE: frozenset[str] = frozenset()


def read_name(words: list[str]) -> Finding:
    """What the name says. A write word anywhere outweighs a read word, except where it must be a noun."""
    words = [word for word in words if word not in MANNER] or words
    verbs = [VERBS.get(word) for word in words]
    _forget_things(words, verbs)
    return (
        _changes_outright(words, verbs)
        or _second_of_two(words, verbs)
        or _runs_anything(words, verbs)
        or _by_leading_verb(words, verbs)
        or NOTHING
    )


def _forget_things(words: list[str], verbs: list[Verb | None]) -> None:
    """ "list_by_type": what follows a preposition is a thing, unless it can be nothing but a verb."""
    for place in range(1, len(words)):
        verb = verbs[place]
        if words[place - 1] in PREPOSITIONS and verb and verb.role is not Role.CHANGE:
            verbs[place] = None


def _changes_outright(words: list[str], verbs: list[Verb | None]) -> Finding | None:
    """A pure write verb: bare it counts anywhere, dressed ("sending") only in front."""
    for place, verb in enumerate(verbs):
        acts = verb is not None and (verb.form is Form.BARE or (place == 0 and verb.form is not Form.PAST))
        if verb and verb.role is Role.CHANGE and acts:
            return Finding(Says.WRITE, words[place])
    return None


def _second_of_two(words: list[str], verbs: list[Verb | None]) -> Finding | None:
    """ "find_or_update", "archive_and_list": joined to a verb, even a thing is taken for one."""
    for place in range(1, len(words) - 1):
        before, after = verbs[place - 1], verbs[place + 1]
        if words[place] not in JOINERS or before is None or after is None:
            continue
        if before.form is after.form is Form.BARE and not (before.role in LOOKS and after.role in LOOKS):
            return Finding(Says.WRITE, before.bare if after.role in LOOKS else after.bare)
    return None


def _runs_anything(words: list[str], verbs: list[Verb | None]) -> Finding | None:
    """ "run_sql", "eval_script": verbs that may do either, given code or raw requests."""
    first = next((verb for verb in verbs if verb and verb.form is Form.BARE), None)
    if first and first.bare in RUNNERS and not READING_LANGUAGES.intersection(words):
        for word in words:
            if word in ANYTHING_GOES:
                return Finding(Says.WRITE, f"{first.bare} {word}")
    return None


def _by_leading_verb(words: list[str], verbs: list[Verb | None]) -> Finding | None:
    for place, verb in _verbs_in_order(verbs):
        if verb.role in (Role.LOOK, Role.LOOK_OR_THING):
            return _look(words, verbs, place)
        if verb.role is Role.CHANGE_WHEN_LEADING:
            unsure = _look_follows(verbs, place) or _names_a_state(words, place)
            return Finding(Says.EITHER if unsure else Says.WRITE, words[place])
        if verb.role is Role.EITHER:
            harmless = is_harmless(verb, _objects(words[place + 1 :]))
            return Finding(Says.READ if harmless else Says.EITHER, words[place])
    return _only_things(words, verbs)


def _verbs_in_order(verbs: list[Verb | None]) -> Iterator[tuple[int, Verb]]:
    """Those that can be the verb of the name: bare, or in front as "listing" or "lists"."""
    for place, verb in enumerate(verbs):
        if verb and (verb.form is Form.BARE or (place == 0 and verb.form is Form.ING)):
            yield place, verb


def _only_things(words: list[str], verbs: list[Verb | None]) -> Finding | None:
    for place, verb in enumerate(verbs):
        if verb and verb.form is Form.BARE and verb.role is Role.CHANGE_OR_THING:
            return Finding(Says.EITHER, words[place])
    return None


def _look(words: list[str], verbs: list[Verb | None], place: int) -> Finding:
    """ "get_orders" looks; "log_search", "filter_set" and "query_database" may not; "show_alert" speaks."""
    word, behind = words[place], words[place + 1 :]
    verb = verbs[place]
    if verb and not NOT_HARMLESS.get(verb.bare, NONE).isdisjoint(behind[-1:]):
        return Finding(Says.WRITE, f"{word} {behind[-1]}")
    if verb is None or verb.role is Role.LOOK:
        return Finding(Says.READ, word)
    unsure = _acted_on(word, verbs, place) if behind else _thing_or_verb_before(words, verbs, place)
    raw = word == "query" and (not behind or not STORES.isdisjoint(words))
    return Finding(Says.EITHER if unsure or raw else Says.READ, word)


def _acted_on(word: str, verbs: list[Verb | None], place: int) -> bool:
    """ "profile_reset", "trace_start_all", "search_execute": the verb may be the next word, or the last."""
    behind, last = verbs[place + 1], verbs[-1]
    if last and last.form is Form.BARE and last.role in (Role.CHANGE_WHEN_LEADING, Role.EITHER):
        return True
    if word == "list" or behind is None:
        return False
    return behind.form is Form.BARE and behind.role is Role.CHANGE_WHEN_LEADING


def _thing_or_verb_before(words: list[str], verbs: list[Verb | None], place: int) -> bool:
    """ "log_search" may be a search in logs, "tag_list" may tag a list; "email_threads_list" can't."""
    if place and words[place - 1].endswith("s"):
        return False
    return any(v and v.form is Form.BARE and v.role is Role.CHANGE_OR_THING for v in verbs[:place])


def _look_follows(verbs: list[Verb | None], place: int) -> bool:
    return any(v and v.form is Form.BARE and v.role is Role.LOOK for v in verbs[place + 1 :])


def _names_a_state(words: list[str], place: int) -> bool:
    """ "job_import_status" is a state of things, not an import; "ticket_set_status" sets one."""
    return place > 0 and words[-1] in STATE and words[place] not in LEADING_ALTERS


def _objects(words: list[str]) -> list[str]:
    """The words up to the first preposition: what the verb is done to."""
    for place, word in enumerate(words):
        if word in PREPOSITIONS:
            return words[:place]
    return words


def is_harmless(verb: Verb, objects: Iterable[str]) -> bool:
    """Whether a verb that may do either only looks, given what it is done to."""
    things = frozenset(objects)
    if things & NOT_HARMLESS.get(verb.bare, NONE):
        return False
    if verb.bare in RUNNERS and things & READING_LANGUAGES:
        return True
    return bool(things & HARMLESS_ERRANDS.get(verb.bare, NONE))
