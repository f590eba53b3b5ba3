"""The check of one server, new or connected: run in the background, written down finding by finding."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from webapp.errors import Stale
from webapp.services import connections, doctor, grants, remedies, reports, stored, tokens
from webapp.services.audit import Actor
from webapp.services.egress import egress_for
from webapp.services.roles import needs
from webapp.services.stored import Stored
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Check, Grant, Integration, database
from webapp.upstream.client import ServerInfo
from webapp.upstream.egress import Allowance
from webapp.upstream.findings import in_order
from webapp.upstream.probe import Finding, Verdict, probe

# A probe takes 15 seconds at most, and a token may be renewed before it; what is silent for longer has died with
# its worker.
DEAD_AFTER = timedelta(seconds=60)
# With a renewed token everything is looked at once more, if that will still be done in time.
SECONDS_LEFT_FOR_ANOTHER = 15.0
LOOK_SECONDS = 0.5
PUBLISHED = ("resource_metadata", "service_metadata")
OVER = "This check was cancelled, or a newer one began."
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far a check is. `state`: none, running, stopped, cancelled or finished (then with a verdict).

    `report` is all of it as plain text; `ways_out` see `remedies`.
    """

    state: str
    findings: list[Finding] = field(default_factory=list)
    verdict: Verdict | None = None
    started_at: datetime | None = None
    report: str = ""
    ways_out: tuple[remedies.Way, ...] = ()

    @property
    def usable(self) -> bool:
        return bool(self.verdict and self.verdict.usable)

    @property
    def lines(self) -> list[reports.Line]:
        return reports.lines(self.findings)

    @property
    def ahead(self) -> list[str]:
        """The steps that this check has yet to come to."""
        known = [index for index, line in enumerate(self.lines) if line.findings]
        return (
            [line.step for line in self.lines[max(known, default=-1) + 1 :]]
            if self.state == "running"
            else []
        )

    @property
    def no_way_in(self) -> bool:
        """The server asks for a sign-in in the browser, but what it publishes stops it."""
        stopped = any(one.state == "problem" and one.step in PUBLISHED for one in self.findings)
        return stopped and self.verdict is not None and self.verdict.sign_in in doctor.IN_BROWSER


def progress(integration: Integration) -> Progress:
    row = Check.get_or_none(Check.integration == integration)
    if row is None:
        return Progress("none")
    findings = in_order(Finding(**finding) for finding in row.findings)
    state = _state(row)
    verdict = _verdict(row.verdict) if row.verdict is not None else None
    if state == "running":
        return Progress(state, findings, verdict, row.started_at)
    report = reports.as_text(integration.url, row.started_at, findings)
    return Progress(state, findings, verdict, row.started_at, report, _ways_out(integration, findings))


def _ways_out(integration: Integration, findings: list[Finding]) -> tuple[remedies.Way, ...]:
    connection, grant = connections.of(integration), Grant.of(integration)
    kind = connection.kind if connection else ""
    more_wanted = kind == "oauth" and grant is not None and bool(grant.needed_scope)
    return remedies.fitting(findings, kind, draft=integration.state == "draft", more_wanted=more_wanted)


def start(integration: Integration, actor: Actor, *, came_by: str = "") -> None:
    """Begin in a thread of its own; read on with `progress`. `came_by`: see `identity.return_address`."""
    needs(actor, "technician")
    started = _begin(integration)
    arguments = (integration, started, came_by)
    threading.Thread(target=_in_background, args=arguments, name="check", daemon=True).start()


def run(integration: Integration, *, came_by: str = "") -> Verdict:
    """The same, waiting for the verdict."""
    return _run(integration, _begin(integration), came_by)


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


def _state(row: Check) -> str:
    if row.verdict is not None:
        return "finished"
    if row.finished_at is not None:
        return "cancelled"
    return "stopped" if row.started_at + DEAD_AFTER < now() else "running"


def _in_background(integration: Integration, started: datetime, came_by: str) -> None:
    with database.connection_context():
        try:
            _run(integration, started, came_by)
        except Stale as stale:
            log.info("check of %s: %s", integration.name, stale.what)
        except Exception:  # the page must not wait for a check that is over
            log.exception("the check of %s failed", integration.name)
            _give_up(integration, started)


def _run(integration: Integration, started: datetime, came_by: str) -> Verdict:
    began = time.monotonic()
    kept = stored.present(integration)
    verdict = _probed(kept, started)
    in_time = time.monotonic() - began < SECONDS_LEFT_FOR_ANOTHER
    if verdict.credentials == "refused" and kept.version and in_time:
        kept, verdict = _renewed(kept, verdict, started)
    if verdict.credentials == "lacking":
        with writing():
            grants.demand(integration.id, verdict.demanded)
    own = doctor.own_findings(kept, verdict, came_by)
    verdict = replace(verdict, findings=tuple(in_order([*verdict.findings, *own])))
    _conclude(integration, started, verdict)
    return verdict


def _renewed(kept: Stored, verdict: Verdict, started: datetime) -> tuple[Stored, Verdict]:
    """The server refuses the token: as calls do, once more with a new one, if there is one."""
    renewed = stored.present(kept.integration, refused=kept.version)
    if renewed.trouble is not None:
        return renewed, verdict
    verdict = _probed(renewed, started)
    if verdict.credentials == "refused":
        tokens.refused_anew(kept.integration.id, renewed.version)
    return renewed, verdict


def _probed(kept: Stored, started: datetime) -> Verdict:
    integration = kept.integration
    egress, known = egress_for(integration), doctor.known(integration)
    findings: list[Finding] = []

    def note(finding: Finding) -> None:
        findings.append(finding)
        _write(integration, started, findings=[asdict(one) for one in findings])

    async def probing() -> Verdict:
        work = asyncio.ensure_future(
            probe(integration.url, egress, headers=kept.headers, known=known, report=note)
        )
        while not (await asyncio.wait({work}, timeout=LOOK_SECONDS))[0]:
            if not _wanted(integration, started):
                work.cancel()
                await asyncio.wait({work})
                raise Stale(OVER)
        return work.result()

    return asyncio.run(probing())


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
