"""Telling people that calls wait and sign-ins are lost: by mail and in the team's chat, with a link that opens the page
and never acts."""

from __future__ import annotations

from webapp.services.notices.channels import (
    KINDS,
    Mail,
    of,
    remove,
    save_mail,
    save_webhook,
    switch,
    tell_instead,
    tells,
)
from webapp.services.notices.surroundings import configure
from webapp.services.notices.telling import send_test, tell, write_to

__all__ = [
    "KINDS",
    "Mail",
    "configure",
    "of",
    "remove",
    "save_mail",
    "save_webhook",
    "send_test",
    "switch",
    "tell",
    "tell_instead",
    "tells",
    "write_to",
]
