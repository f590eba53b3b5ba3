"""The wizard's check of one server: run in the background, written down finding by finding."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from webapp.errors import Stale
from webapp.services import connections
from webapp.services.accounts import needs
from webapp.services.audit import Actor
from webapp.services.egress import egress_for
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Check, Integration, database
from webapp.upstream.client import ServerInfo
from webapp.upstream.egress import Allowance
from webapp.upstream.probe import Finding, Verdict, probe

# A probe takes 15 seconds at most; what is silent for longer has died with its worker.
DEAD_AFTER = timedelta(seconds=30)
LOOK_SECONDS = 0.5
OVER = "This check was cancelled, or a newer one began."
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far a check is. `state`: none, running, stopped, cancelled or finished (then with a verdict)."""

    state: str
    findings: list[Finding] = field(default_factory=list)
    verdict: Verdict | None = None
    started_at: datetime | None = None

    @property
    def usable(self) -> bool:
        return bool(self.verdict and self.verdict.usable)


def progress(integration: Integration) -> Progress:
    row = Check.get_or_none(Check.integration == integration)
    if row is None:
        return Progress("none")
    findings = [Finding(**finding) for finding in row.findings]
    if row.verdict is not None:
        return Progress("finished", findings, _verdict(row.verdict), row.started_at)
    if row.finished_at is not None:
        return Progress("cancelled", findings, None, row.started_at)
    state = "stopped" if row.started_at + DEAD_AFTER < now() else "running"
    return Progress(state, findings, None, row.started_at)


def start(integration: Integration, actor: Actor) -> None:
    """Begin in a thread of its own; read on with `progress`."""
    needs(actor, "technician")
    started = _begin(integration)
    threading.Thread(target=_in_background, args=(integration, started), name="check", daemon=True).start()


def run(integration: Integration) -> Verdict:
    """The same, waiting for the verdict."""
    return _run(integration, _begin(integration))


def cancel(integration: Integration, actor: Actor) -> None:
    """The thread, in whichever worker it is, notices within half a second."""
    needs(actor, "technician")
    with writing():
        Check.update(finished_at=now()).where(
            Check.integration == integration, Check.finished_at.is_null()
        ).execute()


def forget(integration: Integration) -> None:
    """The address changed: what was found no longer holds. In the caller's transaction."""
    Check.delete().where(Check.integration == integration).execute()


def _begin(integration: Integration) -> datetime:
    """`started_at` is the mark of this run: a newer run makes an older thread's writes miss."""
    started = now()
    with writing():
        Check.delete().where(Check.integration == integration).execute()
        Check.insert(integration=integration, started_at=started).execute()
    return started


def _in_background(integration: Integration, started: datetime) -> None:
    with database.connection_context():
        try:
            _run(integration, started)
        except Stale as stale:
            log.info("check of %s: %s", integration.name, stale.what)
        except Exception:  # the page must not wait for a check that is over
            log.exception("the check of %s failed", integration.name)
            _give_up(integration, started)


def _run(integration: Integration, started: datetime) -> Verdict:
    egress = egress_for(integration)
    headers = connections.credentials_for(integration).headers
    findings: list[Finding] = []

    def note(finding: Finding) -> None:
        findings.append(finding)
        _write(integration, started, findings=[asdict(one) for one in findings])

    async def probing() -> Verdict:
        work = asyncio.ensure_future(probe(integration.url, egress, headers=headers, report=note))
        while not (await asyncio.wait({work}, timeout=LOOK_SECONDS))[0]:
            if not _wanted(integration, started):
                work.cancel()
                await asyncio.wait({work})
                raise Stale(OVER)
        return work.result()

    verdict = asyncio.run(probing())
    _conclude(integration, started, verdict)
    return verdict


def _conclude(integration: Integration, started: datetime, verdict: Verdict) -> None:
    """A draft takes over what was found; a server in use is not moved to another address by a check."""
    with writing():
        written = _write(
            integration,
            started,
            findings=[asdict(finding) for finding in verdict.findings],
            verdict=asdict(verdict),
            finished_at=now(),
        )
        if not written:
            raise Stale(OVER)
        if verdict.usable:
            _adopt(integration, verdict)


def _adopt(integration: Integration, verdict: Verdict) -> None:
    changes: dict[str, Any] = {"protocol": verdict.version, "server": _server(verdict.server)}
    Integration.update(**changes, url=verdict.url or integration.url).where(
        Integration.id == integration.id, Integration.state == "draft", Integration.url == integration.url
    ).execute()


def _write(integration: Integration, started: datetime, **values: Any) -> bool:
    return bool(Check.update(**values).where(_mine(integration, started)).execute())


def _wanted(integration: Integration, started: datetime) -> bool:
    return bool(Check.select().where(_mine(integration, started)).exists())


def _mine(integration: Integration, started: datetime) -> Any:
    return (Check.integration == integration) & (Check.started_at == started) & Check.finished_at.is_null()


def _give_up(integration: Integration, started: datetime) -> None:
    with writing():
        _write(integration, started, started_at=started - DEAD_AFTER)


def _server(server: ServerInfo | None) -> dict[str, str]:
    if server is None:
        return {}
    return {
        "name": server.name,
        "title": server.title,
        "server_version": server.server_version,
        "instructions": server.instructions,
    }


def _verdict(stored: dict[str, Any]) -> Verdict:
    parts: dict[str, Any] = dict(stored)
    parts["findings"] = tuple(Finding(**finding) for finding in stored["findings"])
    parts["server"] = ServerInfo(**stored["server"]) if stored["server"] else None
    parts["offer"] = Allowance(**stored["offer"]) if stored["offer"] else None
    return Verdict(**parts)
