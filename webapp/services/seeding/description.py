"""Reads the opening of a description: which verb leads its main clause, and which others stand beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from webapp.services.seeding.finding import NOTHING, Finding, Says
from webapp.services.seeding.inflection import VERBS, Form, Role, Verb
from webapp.services.seeding.name import NONE, is_harmless
from webapp.services.seeding.statements import admits_a_write, reads_only
from webapp.services.seeding.things import ASIDES, DETERMINERS, JOINERS, PREAMBLE, PRONOUNS
from webapp.services.seeding.verbs import NOT_HARMLESS, PHRASES

OPENING = 320
"""Characters of a description in which its main clause is looked for."""

TOKEN = re.compile(r"[A-Za-z][A-Za-z'’-]*|[.:;!?](?=\s|$)|[,/&|()\[\]\n—–]")
LONGEST_LABEL = 4
MARKUP = re.compile(r"\[[^\]]{0,40}\]|\([^)]{0,40}\)|<[^>]{0,40}>|[*_`#>\"]+")
PUNCTUATION = frozenset(",/&()[]")
LABEL_ENDS = frozenset(":|—–")
SENTENCE_ENDS = frozenset(".;!?\n")
OBJECTS = DETERMINERS | PRONOUNS

# A description that "returns" or "provides" looks; a name that does may give back what was bought.
GIVES = {
    "return": Verb("return", Role.LOOK, Form.BARE),
    "returns": Verb("return", Role.LOOK, Form.THIRD),
    "returning": Verb("return", Role.LOOK, Form.ING),
    "provides": Verb("provide", Role.LOOK, Form.THIRD),
    "outputs": Verb("output", Role.LOOK, Form.THIRD),
}


@dataclass(frozen=True, slots=True)
class Lead:
    place: int
    verb: Verb
    first: bool
    """Whether nothing but labels stood before it."""


def opening_of(description: str) -> str:
    return MARKUP.sub(" ", description[:OPENING])


def read_description(description: str) -> Finding:
    """What its first clause says. Later ones may own up to a write; "Returns …" there proves nothing."""
    opening = opening_of(description)
    tokens = TOKEN.findall(opening)
    lead = _lead(tokens)
    if lead is None:
        return NOTHING
    found = _of_lead(tokens, lead)
    if found.says is Says.WRITE:
        return found
    if more := _beside(tokens, lead) or admits_a_write(opening):
        return Finding(Says.WRITE, more)
    if found.says is Says.EITHER and reads_only(description):
        return Finding(Says.READ, "read-only")
    return found if lead.first or found.says is Says.EITHER else NOTHING


def _lead(tokens: list[str]) -> Lead | None:
    """The verb that opens the first clause that has one; short clauses without one may be labels."""
    opens, first, length = True, True, 0
    for place, token in enumerate(tokens[:60]):
        word = token.lower()
        if token in LABEL_ENDS or token in SENTENCE_ENDS:
            first = first and (length == 0 or (token in LABEL_ENDS and length <= LONGEST_LABEL))
            opens, length = True, 0
            continue
        length += token not in PUNCTUATION
        if opens and word not in PREAMBLE and token not in PUNCTUATION:
            verb = _verb(tokens, place)
            if verb and _leads(tokens, place, verb) and (first or _tells(verb)):
                return Lead(place, verb, first)
            opens = verb is None and word.endswith("ly")
    return None


def _verb(tokens: list[str], place: int) -> Verb | None:
    """Two words may be one verb ("Look up", "Checks out"), and half a word, too ("Hard-stop")."""
    word = tokens[place].lower().replace("-", "")
    if place + 1 < len(tokens):
        behind = tokens[place + 1].lower()
        phrase = PHRASES.get((word, behind)) or PHRASES.get((word.removesuffix("s"), behind))
        if phrase:
            return VERBS.get(phrase)
    return GIVES.get(word) or VERBS.get(word) or VERBS.get(tokens[place].lower().rpartition("-")[2])


def _leads(tokens: list[str], place: int, verb: Verb) -> bool:
    """ "Order a pizza" opens with a verb; "Order details", "The groups of …", "Replies to …" with a thing."""
    if verb.form is Form.PAST or (place and tokens[place - 1].lower() in DETERMINERS):
        return False
    may_be_plural = verb.role is Role.CHANGE_WHEN_LEADING and verb.form is Form.THIRD
    if verb.role is Role.CHANGE_OR_THING or may_be_plural:
        return _behind(tokens, place) in OBJECTS
    return True


def _tells(verb: Verb) -> bool:
    """Whether a later sentence tells what the tool does: "Returns …"; "Add …" there would be advice."""
    return verb.form is Form.THIRD or verb.role in (Role.LOOK, Role.LOOK_OR_THING, Role.EITHER)


def _of_lead(tokens: list[str], lead: Lead) -> Finding:
    word, behind, verb = tokens[lead.place], _behind(tokens, lead.place), lead.verb
    if verb.bare == "return" and behind == "to":
        verb = replace(verb, role=Role.EITHER)
    objects = _objects(tokens, lead)
    if verb.role in (Role.LOOK, Role.LOOK_OR_THING):
        return Finding(Says.WRITE if objects & NOT_HARMLESS.get(verb.bare, NONE) else Says.READ, word)
    if verb.role is Role.EITHER:
        harmless = behind in ("if", "whether") or is_harmless(verb, objects)
        return Finding(Says.READ if harmless else Says.EITHER, word)
    return Finding(Says.WRITE, word)


def _objects(tokens: list[str], lead: Lead) -> frozenset[str]:
    """What the verb is done to: the next few words of its clause; more where one moves among menus."""
    behind = tokens[lead.place + 1 :]
    if lead.verb.bare in ("navigate", "return"):
        return frozenset(token.lower() for token in behind[:15])
    found = []
    for token in behind[:7]:
        word = token.lower()
        if word in ASIDES or word in JOINERS or token in SENTENCE_ENDS or token in PUNCTUATION:
            break
        found.append(word)
    return frozenset(found)


def _beside(tokens: list[str], lead: Lead) -> str:
    """ "Gets the user and deletes it": a further verb of the main clause, in the form of the first."""
    aside, start = False, lead.place
    for place in range(start + 1, min(len(tokens) - 1, start + 30)):
        word = tokens[place].lower()
        if word in SENTENCE_ENDS:
            return ""
        aside = aside or word in ASIDES
        if word in JOINERS or word in ",/&":
            verb = _verb(tokens, place + 1)
            if verb and verb.form is lead.verb.form and _is_main(tokens, place + 1, verb, aside, start):
                return tokens[place + 1]
    return ""


def _is_main(tokens: list[str], place: int, verb: Verb, aside: bool, start: int) -> bool:
    """Behind "to", "when" and the like, only "and saves it" still belongs to the main clause."""
    if verb.role not in (Role.CHANGE, Role.CHANGE_WHEN_LEADING):
        return False
    behind = _behind(tokens, place)
    if aside:
        listed = place >= 2 and tokens[place - 2] == "," and verb.role is Role.CHANGE
        return listed or behind in PRONOUNS or (verb.form is Form.THIRD and behind in DETERMINERS)
    return verb.role is Role.CHANGE or place == start + 2 or behind in OBJECTS


def _behind(tokens: list[str], place: int) -> str:
    return tokens[place + 1].lower() if place + 1 < len(tokens) else ""
