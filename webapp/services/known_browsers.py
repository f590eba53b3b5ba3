"""Browsers in which somebody has signed in before: strangers who guess at that account don't stand in their way.

Nothing is kept here of them. The cookie is sealed with our key, is about one account and its present password, and
opens nothing: it says which count the next guesses belong to.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from webapp.store.models import User
from webapp.store.secrets import KeyProblem, vault

RECORD = "known browser"
LIVES = timedelta(days=180)
LONGEST = 1000


def token_for(user: User) -> str:
    """For a cookie of this browser; empty for who has no password to guess."""
    if not user.password_hash:
        return ""
    return vault.seal(RECORD, [user.id, _fingerprint(user), secrets.token_hex(8)]).decode()


def known(token: str, user: User | None) -> str:
    """Which browser of this person it is; empty for all others, and after a new password."""
    if user is None or not 0 < len(token) <= LONGEST:
        return ""
    try:
        user_id, fingerprint, browser = vault.open(RECORD, token.encode("utf-8", "surrogateescape"))
    except KeyProblem:
        return ""
    return str(browser) if (user_id, fingerprint) == (user.id, _fingerprint(user)) else ""


def _fingerprint(user: User) -> str:
    return hashlib.sha256(user.password_hash.encode()).hexdigest()[:16]
