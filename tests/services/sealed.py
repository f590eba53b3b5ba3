"""Rows with a secret, to see whether it opens."""

from __future__ import annotations

from webapp.store.fields import now
from webapp.store.models import Approval


def keep(name: str) -> None:
    Approval.create(
        id=name, agent_name="a", catalogue_name="t", arguments=Approval.arguments.seal(name, "canary-" + name),
        arguments_digest="", definition_digest="", expires_at=now(),
    )  # fmt: skip


def opened(name: str) -> object:
    return Approval.arguments.open(name, Approval.get_by_id(name).arguments)
