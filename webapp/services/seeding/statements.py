"""Things a description may admit in passing: that it only reads, that it writes, that it leaves a file."""

from __future__ import annotations

import re

FAR_ENOUGH = 1280
"""Characters of a description that are looked at for such admissions."""

READS_ONLY = re.compile(
    r"(?<!not )(?<!non )(?<!non-)\bread[- ]?only\b(?! by default| unless| flag| mode)"
    r"|\bselect (?:quer(?:y|ies)|statements?)\b|\bonly select\b|\bselect[- ]only\b",
    re.I,
)
WRITES_SQL = re.compile(r"\bselect\W+(?:or |and )?(?:insert|update|delete)\b", re.I)
RAW_LANGUAGE = re.compile(r"\b(?:sql|cypher|graphql|gremlin|sparql)\b", re.I)

# Each with a plain text to look for first: a pattern with many branches is slow to find nothing.
ADMISSIONS = (
    ("undone", re.compile(r"(?:cannot|can't) be undone")),
    ("irreversib", re.compile(r"irreversibl\w+")),
    ("destructive", re.compile(r"\bdestructive\b")),
    ("permanently", re.compile(r"permanently (?:delete|remove|erase)s?")),
    ("write operation", re.compile(r"write operation")),
    ("for sale", re.compile(r"for sale\b")),
    ("this ", re.compile(r"this (?:tool )?(?:modifies|creates|deletes|changes|updates|overwrites|sends)\b")),
)
NEGATION = re.compile(r"\b(?:not|no|never|non|without|cannot|can't|doesn't|don't)\b[\w\s-]{0,24}$", re.I)

PLACES = (
    r"(?:disk|files?|folder|directory|path|local(?:ly)?|cache|drive|bucket|storage|computer|filesystem)\b"
)
LEAVES_A_FILE = re.compile(
    rf"\b(?:sav|writ|stor|plac)\w*\b[^.]{{0,40}}\b{PLACES}|\b(?:to|into|on) (?:\w+ ){{0,3}}{PLACES}", re.I
)
STARTS_A_JOB = re.compile(
    r"\b(?:job|asynchronous\w*|background|e-?mailed|(?:trigger|queue|start|initiate|create)s? an?)\b", re.I
)
COMES_BACK = re.compile(r"\bbase64\b|\binline\b|\bembedded resource", re.I)
GIVES_BACK = re.compile(r"\b(?:returns?|returned|contents?|json|csv|yaml|xml|markdown|text|bytes)\b", re.I)


def reads_only(description: str) -> bool:
    text = description[:FAR_ENOUGH]
    return READS_ONLY.search(text) is not None and WRITES_SQL.search(text) is None


def takes_raw_language(opening: str) -> bool:
    return RAW_LANGUAGE.search(opening) is not None


def admits_a_write(opening: str) -> str:
    """The words in which it does; a denial ("not destructive") is none."""
    text = opening.lower()
    for mark, admission in ADMISSIONS:
        if mark in text:
            for found in admission.finditer(text):
                if not NEGATION.search(text[: found.start()]):
                    return found[0]
    return ""


def hands_over(description: str) -> bool:
    """Whether what it exports or downloads comes back as the answer, and not in a file or by a job."""
    text = description[:FAR_ENOUGH]
    if COMES_BACK.search(text):
        return True
    return bool(GIVES_BACK.search(text)) and not (LEAVES_A_FILE.search(text) or STARTS_A_JOB.search(text))
