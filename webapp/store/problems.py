"""How the store says no."""

from __future__ import annotations

from webapp.errors import Refused


class StoreProblem(Refused):
    """The database can't be used; the sentence says what to do."""

    status = 500
