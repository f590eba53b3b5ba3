"""Passwords: which are good enough, and how they are kept (argon2id)."""

from __future__ import annotations

import os
import re
import secrets
import threading

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from webapp.errors import InvalidInput

SHORTEST, LONGEST = 12, 128
FEWEST_DIFFERENT = 5
# What guessers try first is one of these with digits around it, written twice, or with @ for a.
COMMON = frozenset(
    """abc admin administrator adminadmin angel asdf asdfgh asdfghjkl baseball batman changeme charlie cheese
    computer daniel default donald dragon football freedom gatehouse guest hello helpdesk hunter iloveyou jesus
    jordan killer letmein login lovely loveme master michael microsoft monkey ninja office pass passphrase passw
    password passwort princess qazwsx qwer qwert qwerty qwertyuiop qwertz root samsung secret security service
    shadow soccer starwars summer sunshine superman superuser support system technician temporary test testing
    thisisapassword trustno tuesday user viewer welcome whatever winter autumn spring monday friday""".split()
)
LOOKALIKES = str.maketrans("@4301!|$5+7", "aaeoiiisstt")
# Neighbours on a keyboard or in the alphabet: a walk along them is quick to type and quick to guess.
WALKS = (
    "01234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "azertyuiop",
    "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "1qaz2wsx3edc4rfv5tgb6yhn7ujm", "zaq12wsxcde34rfvbgt5",
)  # fmt: skip
STEPS = {pair for walk in WALKS for way in (walk, walk[::-1]) for pair in zip(way, way[1:], strict=False)}
FEWEST_SURPRISES = 6

# OWASP's smaller argon2id setting: two sign-ins at once must not take a small box's memory.
ITERATIONS, MEMORY_KIB = 2, 19 * 1024
_two_at_once = threading.Semaphore(2)


def check(password: str, *own_words: str) -> None:
    """Raises InvalidInput for what a guesser tries early; `own_words` are the person's name and address."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidInput(
            f"A password has {SHORTEST} to {LONGEST} characters.", field="password",
            next_step="A few unrelated words make a good one.",
        )  # fmt: skip
    if _easy(password.lower(), {word.lower() for word in own_words if word}):
        raise InvalidInput(
            "This password is too easy to guess.", field="password",
            next_step="A few unrelated words make a good one.",
        )  # fmt: skip


def hashed(password: str) -> str:
    with _two_at_once:
        kept = Argon2id(
            salt=os.urandom(16), length=32, iterations=ITERATIONS, lanes=1, memory_cost=MEMORY_KIB
        )
        return kept.derive_phc_encoded(password.encode())


def matches(stored: str, password: str) -> bool:
    """Never, and after as long a time, where nothing is `stored`."""
    with _two_at_once:
        try:
            Argon2id.verify_phc_encoded(password.encode(), stored or NOBODY)
        except InvalidKey:
            return False
        return True


# Checked in place of an account that is not there, so that both take as long.
NOBODY = hashed(secrets.token_urlsafe())


def _easy(low: str, own_words: set[str]) -> bool:
    walked = sum(a == b or (a, b) in STEPS for a, b in zip(low, low[1:], strict=False))
    if len(set(low)) < FEWEST_DIFFERENT or len(low) - walked < FEWEST_SURPRISES:
        return True
    return low in own_words or bool(_words_in(low) & (COMMON | own_words))


def _words_in(low: str) -> set[str]:
    """The one word it may be made of: without what stands around it, once instead of twice, in plain letters."""
    plain = low.translate(LOOKALIKES)
    found = {_once(low), _core(low), _core(low).translate(LOOKALIKES), _core(plain)}
    return found | {_once(word) for word in found}


def _core(low: str) -> str:
    return re.sub(r"^[\W\d_]+|[\W\d_]+$", "", low)


def _once(text: str) -> str:
    """`secretsecret` → `secret`."""
    period = (text + text).find(text, 1)
    return text[:period] if text else text
