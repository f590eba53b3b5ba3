"""Reads the first sentence of a description: which verb leads it, and what else it admits to."""

from __future__ import annotations

import re

from webapp.services.seeding.finding import NOTHING, Finding, Says
from webapp.services.seeding.inflection import VERBS, Form, Role, Verb
from webapp.services.seeding.words import HARMLESS_ERRANDS, JOINERS, PHRASES, READING_LANGUAGES, SHOWN_TO_PEOPLE

LONGEST_OPENING = 320
TOKEN = re.compile(r"[A-Za-z][A-Za-z'’-]*|[.:;!?](?=\s|$)|[,/&|()\[\]\n—–]")
MARKUP = re.compile(r"\[[^\]]{0,40}\]|\([^)]{0,40}\)|<[^>]{0,40}>|[*_`#>\"]+")

SENTENCE_ENDS = frozenset(".;!?\n")
PUNCTUATION = frozenset(",/&()[]")
LABEL_ENDS = frozenset(":|—–")
# What stands before the verb: "This tool can be used to …", "Allows agents to …", "Safely …".
PREAMBLE = frozenset(
    """
    a an the this that it is are be can will may tool tools function command endpoint method action api use uses used
    using to for of by you your agents users user ai assistants allow allows allowing let lets help helps when need want if please simply optionally first also batch bulk which designed able ability
    mcp only operation always preferred and
    """.split()
)
# From here on the sentence speaks of purposes and conditions, not of what the tool does.
ASIDES = frozenset(
    """
    to for before when after so that which without instead not unless if useful e.g such like via using from based
    including whether where while how because since until rather than can may must should
    """.split()
)
# A description that "returns" or "provides" something looks; a name that does may give back what was bought.
GIVES = {
    text: Verb(bare, Role.LOOK, form)
    for bare in ("return", "give", "provide", "report", "output", "yield", "answer")
    for text, form in ((bare, Form.BARE), (bare + "s", Form.THIRD), (bare + "ing", Form.ING))
}
DETERMINERS = frozenset(
    "a an the this these one multiple your all any new existing each every some several specific".split()
)
PRONOUNS = frozenset(("it", "them"))
OBJECTS = DETERMINERS | PRONOUNS | {"its", "their", "results", "result", "output"}
NEGATIONS = re.compile(r"\b(?:not|no|never|non|without|cannot|can't|doesn't|don't)\b[\w\s-]{0,24}$", re.I)
ADMISSION = re.compile(
    r"cannot be undone|can't be undone|irreversibl|\bdestructive\b|permanently (?:delete|remove|erase)"
    r"|write operation|\bthis (?:tool )?(?:modifies|creates|deletes|changes|updates|overwrites|sends)\b",
    re.I,
)
READS_ONLY = re.compile(
    r"(?<!not )\bread[- ]?only\b|\bselect (?:quer(?:y|ies)|statements?)\b|\bonly select\b|\bselect[- ]only\b", re.I
)
PLACES = r"(?:disk|files?|folder|directory|path|locally|local|cache|drive|bucket|storage|computer|filesystem)\b"
PUTS_SOMEWHERE = re.compile(
    rf"\b(?:sav|writ|stor|plac)\w*\b[^.]{{0,40}}\b{PLACES}|\b(?:to|into|on) (?:\w+ ){{0,3}}{PLACES}"
    r"|\b(?:job|asynchronous\w*|background|e-?mailed|triggers? an?|queues? an?)\b",
    re.I,
)
COMES_BACK = re.compile(r"\bbase64\b|\binline\b|\bembedded resource", re.I)
GIVES_BACK = re.compile(r"\b(?:returns?|returned|contents?|json|csv|yaml|xml|markdown|text|bytes)\b", re.I)


def read_description(description: str) -> Finding:
    opening = MARKUP.sub(" ", description[:LONGEST_OPENING])
    tokens = TOKEN.findall(opening)
    start = _lead(tokens)
    if start is None:
        return NOTHING
    place, lead = start
    finding = _of_lead(tokens, place, lead)
    if finding.says is Says.WRITE:
        return finding
    second = _coordinated(tokens, place, lead) or _admission(opening)
    if second:
        return second
    if finding.says is Says.EITHER and reads_only(description):
        return Finding(Says.READ, "read-only")
    return finding


def reads_only(description: str) -> bool:
    return READS_ONLY.search(description[: 4 * LONGEST_OPENING]) is not None


def hands_over(description: str) -> bool:
    """Whether what it exports or downloads comes back as the answer, and not in a file or by a job."""
    text = description[: 4 * LONGEST_OPENING]
    return bool(COMES_BACK.search(text) or (GIVES_BACK.search(text) and not PUTS_SOMEWHERE.search(text)))


def _verb(token: str) -> Verb | None:
    word = token.lower().replace("-", "")
    return GIVES.get(word) or VERBS.get(word)


def _phrase(tokens: list[str], place: int) -> Verb | None:
    """ "Look up the user", "Check out an asset": two words that are one verb."""
    if place + 1 == len(tokens):
        return None
    first, second = tokens[place].lower(), tokens[place + 1].lower()
    return VERBS.get(PHRASES.get((first, second)) or PHRASES.get((first.removesuffix("s"), second)) or "")


def _lead(tokens: list[str]) -> tuple[int, Verb] | None:
    """The place of the verb, and the verb, that opens a clause; what has none before it was a label or a noun phrase."""
    opens, first_sentence = True, True
    for place, token in enumerate(tokens[:60]):
        word = token.lower()
        if token in LABEL_ENDS or token in SENTENCE_ENDS:
            opens, first_sentence = True, first_sentence and token not in SENTENCE_ENDS
        elif opens and word not in PREAMBLE and token not in PUNCTUATION and not word.endswith("ly"):
            verb = _phrase(tokens, place) or _verb(word)
            if verb and _leads(tokens, place, verb) and (first_sentence or _tells(verb)):
                return place, verb
            opens = False
    return None


def _leads(tokens: list[str], place: int, verb: Verb) -> bool:
    """ "Order a pizza" opens with a verb; "Order details", "The groups of …", "Replies to …" with a thing."""
    if verb.form is Form.PAST or (place and tokens[place - 1].lower() in DETERMINERS):
        return False
    if verb.role is Role.CHANGE_OR_THING or (verb.role is Role.CHANGE_WHEN_LEADING and verb.form is Form.THIRD):
        return place + 1 < len(tokens) and tokens[place + 1].lower() in OBJECTS
    return True


def _tells(verb: Verb) -> bool:
    """Whether a later sentence tells what the tool does: "Returns …"; "Add …" there would be advice."""
    return verb.form is Form.THIRD or verb.role in (Role.LOOK, Role.LOOK_OR_THING, Role.EITHER)


def _of_lead(tokens: list[str], start: int, lead: Verb) -> Finding:
    word = tokens[start]
    if lead.bare == "return" and start + 1 < len(tokens) and tokens[start + 1].lower() == "to":
        lead = Verb("return", Role.EITHER, lead.form)
    nearby = {token.lower() for token in tokens[start + 1 : start + 11]}
    if lead.bare in ("show", "display") and SHOWN_TO_PEOPLE & nearby:
        return Finding(Says.WRITE, word)
    if lead.role in (Role.LOOK, Role.LOOK_OR_THING):
        return Finding(Says.READ, word)
    if lead.role in (Role.CHANGE, Role.CHANGE_WHEN_LEADING, Role.CHANGE_OR_THING):
        return Finding(Says.WRITE, word)
    harmless = HARMLESS_ERRANDS.get(lead.bare, frozenset()) & nearby
    in_words = lead.bare in ("run", "execute") and READING_LANGUAGES & nearby
    return Finding(Says.READ if harmless or in_words else Says.EITHER, word)


def _coordinated(tokens: list[str], start: int, lead: Verb) -> Finding | None:
    """ "Gets the user and deletes it": a further verb of the main clause, in the form of the first."""
    aside = False
    for place in range(start + 1, min(len(tokens) - 1, start + 30)):
        token = tokens[place].lower()
        if token in SENTENCE_ENDS:
            return None
        aside = aside or token in ASIDES
        if token in JOINERS or token in ",/&":
            verb = _verb(tokens[place + 1])
            if verb and verb.form is lead.form and _is_main(tokens, place + 1, verb, aside, place == start + 1):
                return Finding(Says.WRITE, tokens[place + 1])
    return None


def _is_main(tokens: list[str], place: int, verb: Verb, aside: bool, next_to_lead: bool) -> bool:
    """Behind "to", "when" and the like, only "and saves it" still belongs to the main clause."""
    behind = tokens[place + 1].lower() if place + 1 < len(tokens) else ""
    if verb.role not in (Role.CHANGE, Role.CHANGE_WHEN_LEADING):
        return False
    if aside:
        return behind in PRONOUNS or (verb.form is Form.THIRD and behind in DETERMINERS)
    return verb.role is Role.CHANGE or next_to_lead or behind in OBJECTS


def _admission(opening: str) -> Finding | None:
    for found in ADMISSION.finditer(opening):
        if not NEGATIONS.search(opening[: found.start()]):
            return Finding(Says.WRITE, found[0])
    return None

