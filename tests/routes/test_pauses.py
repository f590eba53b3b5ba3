"""Pause on the pages: stopped in one place, said on all, resumed with one button by who may."""

from __future__ import annotations

from tests.routes.settings_house import (  # noqa: F401
    SETTINGS,
    Connect,
    admin,
    app,
    connect,
    furnished,
    meadow,
    servers,
    technician,
    viewer,
)
from tests.routes.visitors import Visitor, text_of
from webapp.services import agents, integrations
from webapp.services.audit import COMMAND
from webapp.store.models import Pause

# ruff: noqa: F811
NASTY = "<script>alert(1)</script>"


def test_all_is_stopped_on_one_page_and_said_on_all(technician: Visitor, viewer: Visitor) -> None:
    assert technician.post("/pause", level="writes").status_code == 422
    assert technician.post("/pause", level="nonsense", reason="x").status_code == 422
    assert technician.post("/pause", level="writes", reason=f"Odd {NASTY}").status_code == 303
    for path in ("/", "/approvals", "/tools", "/pause"):
        assert "All writes are stopped" in viewer.get(path), path
    home = viewer.get("/")
    assert "All writes are stopped by Technician just now : Odd <script>" not in home
    assert "Odd &lt;script&gt;" in home and ">Resume</button>" not in home
    assert ">Resume</button>" in technician.get("/")
    assert viewer.post("/pause/resume", key="everything").status_code == 403
    reply = technician.post("/pause/resume", key="everything", back="/")
    assert (reply.status_code, reply.location) == (303, "/")
    assert "stopped" not in technician.get("/approvals")


def test_who_may_not_resume_is_told_why(admin: Visitor, technician: Visitor) -> None:
    admin.post("/pause", level="calls", reason="Audit")
    home = technician.get("/")
    assert "An admin has paused it, so an admin resumes it." in text_of(home)
    assert ">Resume</button>" not in home
    assert technician.post("/pause/resume", key="everything").status_code == 403
    assert Pause.select().count() == 1
    assert admin.post("/pause/resume", key="everything", back="//evil.test").location == "/pause"
    assert Pause.select().count() == 0


def test_a_server_and_an_agent_are_paused_on_their_pages(technician: Visitor, connect: Connect) -> None:
    connect("desk")
    agent, _ = agents.create("Claude", COMMAND)
    technician.post(f"{SETTINGS}/desk/state", wanted="paused", reason="Deletes too much")
    paused = text_of(technician.get(f"{SETTINGS}/desk"))
    assert "Paused by Technician just now : Deletes too much" in paused
    assert paused.count("Paused") == 1
    address = f"/settings/agents/{agent.id}/state"
    assert technician.post(address, wanted="paused").status_code == 422
    assert technician.post(address, wanted="paused", reason="Runs wild").status_code == 303
    assert "Runs wild" in technician.get(f"/settings/agents/{agent.id}")
    assert "Paused" in technician.get("/settings/agents")
    home = text_of(technician.get("/"))
    assert "Deletes too much" in home and "The agent Claude by Technician just now : Runs wild" in home
    assert technician.post(address, wanted="active").status_code == 303
    assert technician.post(address, wanted="nonsense").status_code == 422
    technician.post(f"{SETTINGS}/desk/state", wanted="connected")
    assert integrations.find("desk").state == "connected"
    assert 'id="standing"' not in technician.get("/")
