"""Rows with a secret, and a process that begins, to see whether it opens them."""

from __future__ import annotations

from pathlib import Path

from webapp.store.database import open_store
from webapp.store.fields import now
from webapp.store.models import Approval, database


def started(data: Path, url: str = "") -> None:
    """As a process that begins now."""
    open_store(data, url)
    database.connect(reuse_if_open=True)


def keep(name: str) -> None:
    Approval.create(
        id=name, agent_name="a", catalogue_name="t", arguments=Approval.arguments.seal(name, "canary-" + name),
        arguments_digest="", definition_digest="", expires_at=now(),
    )  # fmt: skip


def opened(name: str) -> object:
    return Approval.arguments.open(name, Approval.get_by_id(name).arguments)
