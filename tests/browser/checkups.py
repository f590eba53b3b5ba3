"""A Gatehouse with a check of each kind: under way, well, failed in many ways, and of servers in use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from config import Config
from tests import signing_in
from tests.authority import Service, authority
from tests.house import PASSWORD, House, served
from webapp.asgi import program
from webapp.practice import create_app as practice_app
from webapp.services import checks, integrations, sync
from webapp.services.audit import COMMAND
from webapp.store.fields import now
from webapp.store.models import Check, Integration

WIZARD, IN_USE = "/settings/integrations/{}/setup/check", "/settings/integrations/{}/check"
# A page each; the faults are those of tests/authority.
FAULTS: dict[str, dict[str, Any]] = {
    "another-server": {"resource_metadata": "elsewhere"},
    "no-documents": {"resource_metadata": "missing", "metadata": "missing"},
    "silent-on-pkce": {"pkce": "silent"},
    "no-registration": {"registration": "absent"},
}
DRAFTS = ("running", "all-well", *FAULTS, "own-network", "web-page", "nobody-there", "no-way-back")
CONNECTED = ("connected", "signed-out", "lacking")
PAGES = {f"check-{name}": WIZARD.format(name) for name in DRAFTS} | {
    f"check-{name}": IN_USE.format(name) for name in CONNECTED
}


@contextlib.contextmanager
def checkups(data: Path) -> Iterator[House]:
    with served(practice_app()) as practice, authority(email="pat@msp.example") as service:
        made = program(Config(data=data, practice_url=practice))
        with served(made) as url:
            house = House(url, data, {"GATEHOUSE_DATA": str(data)}, made.app)
            for email, role, name in (
                ("ann@example.com", "admin", "Ann"),
                ("tom@example.com", "technician", "Tom"),
            ):
                house.run("create-user", email, "--role", role, "--name", name, stdin=PASSWORD + "\n")
            house.do(lambda: _drafts(service, practice))
            house.do(lambda: _in_use(service))
            yield house


def _drafts(service: Service, practice: str) -> None:
    _checked(service, "all-well", service.mcp_url)
    _under_way(_checked(service, "running", service.mcp_url))
    for name, faults in FAULTS.items():
        with authority(**faults) as faulty:
            _checked(faulty, name, faulty.mcp_url)
    checks.run(integrations.add_server(f"{practice}/open/mcp", COMMAND, name="own-network"))
    page = integrations.add_server(f"{practice}/", COMMAND, name="web-page")
    offer = checks.run(page).offer
    assert offer
    checks.run(integrations.allow_private(page, offer, COMMAND))
    _checked(service, "nobody-there", f"{service.decoy}/mcp")
    _checked(service, "no-way-back", service.mcp_url, came_by="http://gate.lan:8000")


def _checked(service: Service, name: str, url: str, came_by: str = "https://gate.msp.example") -> Integration:
    draft = integrations.add_server(url, COMMAND, name=name)
    draft = integrations.allow_private(draft, service.allowance(), COMMAND)
    checks.run(draft, came_by=came_by)
    return draft


def _under_way(draft: Integration) -> None:
    """In the middle of it for as long as anybody looks."""
    row = Check.get(Check.integration == draft)
    Check.update(
        findings=row.findings[:5], verdict=None, finished_at=None, started_at=now() + timedelta(hours=1)
    ).where(Check.integration == draft).execute()


def _in_use(service: Service) -> None:
    for name in CONNECTED:
        sync.sync(signing_in.connected(service, name), COMMAND)
        draft = integrations.find(name)
        integrations.finish(draft, COMMAND)
    checks.run(integrations.find("connected"), came_by=signing_in.HERE.came_by)
    service.demand_scope("gatehouse-check.no-such-tool", "notes.admin")
    checks.run(integrations.find("lacking"), came_by=signing_in.HERE.came_by)
    service.revoke_grant()
    checks.run(integrations.find("signed-out"), came_by="https://gate.msp.example")
