"""What pages look like in the middle of work: a batch ticked, a call that differs from the last, everything stopped."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import FilePayload, Page

from config import Config
from tests.house import PASSWORD, House, modern_meta, served, token_in
from tests.provider import ENTRA, person, provider
from webapp.asgi import program
from webapp.practice import create_app as practice_app
from webapp.services import accounts
from webapp.services.audit import COMMAND
from webapp.services.authenticator import totp
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Approval, Authenticator, remember

CLAUDE = "Claude for the helpdesk"
FILE = """gatehouse: 1
servers:
- name: halo
  url: https://halo.example.com/mcp
  sign_in: oauth
  allow: [{host: halo.example.com, port: 443, network: 10.20.0.0/24}]
  tools: {get_client: auto, delete_client: disabled}
builtins:
- name: network
  tools: {send_message: auto, lookup_dns: approval, ping: auto}
"""
WRONG_FILE = "gatehouse: 1\nservers:\n- name: halo\n  url: https://halo.example.com/mcp\n  token: secret\n"
Act = Callable[[Page], None]
SCRIPT = "Please look at the backups of these machines again.\n" * 12


def tick(page: Page) -> None:
    for name in ("T-1042", "T-1045"):
        page.locator("article", has_text=name).get_by_role("checkbox").check()
    page.get_by_role("button", name="Approve each ticked call").scroll_into_view_if_needed()


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('main details').forEach((one) => one.open = true)")


def select_tools(page: Page) -> None:
    for row in page.locator("tbody").get_by_role("checkbox").all()[:3]:
        row.check()


def refuse_pause(page: Page) -> None:
    page.get_by_role("radio", name="All writes").check()
    page.get_by_label("Why").fill(" ")
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("alert").wait_for()


def back_up(page: Page) -> None:
    page.get_by_role("button", name="Back up now").click()
    page.get_by_text("Backup written").wait_for()
    unfold(page)
    page.evaluate("scrollTo(0, 0)")


def offer_second_step(page: Page) -> None:
    page.get_by_role("button", name="Set up a second step").click()
    page.get_by_text("Show that it works").wait_for()


def refuse_first_code(page: Page) -> None:
    offer_second_step(page)
    page.get_by_label("Code that the app shows now").fill("wrong")
    page.get_by_role("button", name="Turn it on").click()
    page.get_by_role("alert").wait_for()


def confirm_second_step(page: Page) -> None:
    offer_second_step(page)
    secret = page.locator("#second-step-secret").inner_text().replace(" ", "")
    page.get_by_label("Code that the app shows now").fill(totp(secret).generate(time.time()).decode())
    page.get_by_role("button", name="Turn it on").click()
    page.get_by_text("Keep them now").wait_for()


def ask_for_code(page: Page) -> None:
    """The one who is signed in has a second step by now."""
    page.get_by_role("navigation").get_by_role("button", name="Sign out").click()
    page.get_by_label("E-mail").fill("ann@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Code from your app").wait_for()


def invite(page: Page) -> None:
    page.get_by_label("E-mail").fill("new@example.com")
    page.get_by_role("button", name="Invite", exact=True).click()
    page.get_by_text("Copy the link now").wait_for()


def open_invitation(page: Page) -> None:
    invite(page)
    page.goto(page.locator("#invite-link").inner_text())
    page.get_by_role("heading", name="Your invitation").wait_for()


def upload(text: str) -> Act:
    def act(page: Page) -> None:
        file: FilePayload = {
            "name": "gatehouse.yaml",
            "mimeType": "application/yaml",
            "buffer": text.encode(),
        }
        page.get_by_label("File").set_input_files(file)
        page.get_by_role("button", name="See what would change").click()
        page.locator("#main h1").wait_for()
        page.wait_for_url("**/preview")

    return act


def nothing(page: Page) -> None:
    del page


# Name → where, and what is done there before the look.
BUSY: dict[str, tuple[str, Act]] = {
    "approvals-ticked": ("/approvals", tick),
    "approvals-unfolded": ("/approvals", unfold),
    "approval-different": ("/approvals/{different}", nothing),
    "approval-expired": ("/approvals/{expired}", unfold),
    "approval-done": ("/approvals/{done}", unfold),
    "approvals-history-full": ("/approvals/history", nothing),
    "tools-selected": ("/tools", select_tools),
    "server-unfolded": ("/settings/integrations/desk", unfold),
    "activity-unfolded": ("/activity", unfold),
    "home-troubled": ("/", nothing),
    "general-backups": ("/settings/general", back_up),
    "inventory-preview": ("/settings/general/inventory", upload(FILE)),
    "inventory-refused": ("/settings/general/inventory", upload(WRONG_FILE)),
    "person-invited": ("/settings/people", invite),
    "invitation": ("/settings/people", open_invitation),
    "invitation-used-up": ("/invite/none", nothing),
    "people-invited": ("/settings/people", nothing),
    "pause": ("/pause", nothing),
    "pause-refused": ("/pause", refuse_pause),
    "second-step-offer": ("/account/second-step", offer_second_step),
    "second-step-refused": ("/account/second-step", refuse_first_code),
}
STOPPED: dict[str, tuple[str, Act]] = {
    "stopped-home": ("/", nothing),
    "stopped-pause": ("/pause", nothing),
    "stopped-approvals": ("/approvals", nothing),
    "stopped-server": ("/settings/integrations/desk", nothing),
    "stopped-agent": ("/settings/agents/1", nothing),
}


def link(page: Page) -> None:
    page.get_by_role("button", name="Link to Microsoft").click()
    page.get_by_role("link", name="Go to Microsoft").wait_for()


def linked(page: Page) -> None:
    link(page)
    page.get_by_role("link", name="Go to Microsoft").click()
    page.get_by_text("Your account is linked").wait_for()


def sign_out(page: Page) -> None:
    page.get_by_role("navigation").get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Sign in with Microsoft").wait_for()


# In this order, and last: whoever signs in has no password after that.
SIGN_ON: dict[str, tuple[str, Act]] = {
    "people-providers": ("/settings/people", nothing),
    "person-to-link": ("/settings/people/2", nothing),
    "account-link": ("/account", link),
    "account-linked": ("/account", linked),
    "person-linked": ("/settings/people/1", nothing),
    "confirm-provider": ("/confirm?next=/settings/people", nothing),
    "sign-on-refused": ("/login/entra/refused/expired", nothing),
    "login-providers": ("/account", sign_out),
}

# In this order; whoever signs in after that is asked for a code.
SECOND_STEP: dict[str, tuple[str, Act]] = {
    "second-step-codes": ("/account/second-step", confirm_second_step),
    "second-step-on": ("/account/second-step", nothing),
    "person-second-step": ("/settings/people/1", nothing),
    "login-second-step": ("/account", ask_for_code),
}


@contextlib.contextmanager
def busy(data: Path) -> Iterator[tuple[House, dict[str, str]]]:
    """The house and the values for BUSY; STOPPED is what `stop` makes of it."""
    with served(practice_app()) as practice, provider() as fake:
        fake.person = person("ann", "Gatehouse.Admins")
        providers = (fake.provider(ENTRA), fake.provider())
        made = program(Config(data=data, hold_seconds=0.1, practice_url=practice, providers=providers))
        with served(made) as url:
            house = House(url, data, {"GATEHOUSE_DATA": str(data)}, made.app)
            house.run("create-user", "ann@example.com", "--role", "admin", "--name", "Ann", stdin=PASSWORD)
            house.run(
                "create-user", "tom@example.com", "--role", "technician", "--name", "Tom", stdin=PASSWORD
            )
            house.run("add-server", f"{practice}/open/mcp", "--name", "desk", "--allow-private")
            yield house, _work(house)


def stop(house: House) -> None:
    house.run("pause", "desk", "--reason", "The vendor moves its servers until five o’clock.")
    house.run("pause", "--agent", CLAUDE, "--reason", "It asked for the same thing forty times.")
    house.run("pause", "--writes", "--reason", "An account was taken over. We look into it.")


def with_password_alone(house: House) -> None:
    house.do(lambda: Authenticator.delete().execute())
    house.do(lambda: accounts.reset_password(accounts.find_user("ann@example.com"), PASSWORD, COMMAND))


def _trouble() -> None:
    with writing():
        remember("clock_jump", {"at": now().isoformat(), "seconds": -7260})
        remember(
            "backup_problem",
            "/srv/backups/gatehouse-20261127T020000Z.db could not be written. The disk is full.",
        )


def _work(house: House) -> dict[str, str]:
    house.do(_trouble)
    key = house.agent(CLAUDE)
    done = _asked(house, key, "update_ticket", ticket_id="T-1041", status="open", priority="high")
    house.run("decide", done, "approve", "--note", "Go ahead.")
    house.call(key, "gatehouse__await_approval", {"approval_id": done})
    ahead = _asked(house, key, "restart_device", device_id="NL-SV-001", when="now")
    with house.browser("tom@example.com") as tom:
        token = token_in(tom.get(f"/approvals/{ahead}").text)
        tom.post(f"/approvals/{ahead}/decision", data={"decision": "approve-same", "csrf_token": token})
    house.call(key, "gatehouse__await_approval", {"approval_id": ahead})
    expired = _asked(house, key, "add_ticket_note", ticket_id="T-1042", text="On my way.")
    house.do(
        lambda: (
            Approval.update(expires_at=now() - timedelta(minutes=1)).where(Approval.id == expired).execute()
        )
    )
    different = _asked(house, key, "update_ticket", ticket_id="T-1041", status="resolved", priority="high")
    for ticket in ("T-1042", "T-1045"):
        _asked(house, key, "add_ticket_note", ticket_id=ticket, text=SCRIPT)
    _answered(house, key, "delete_ticket", ticket_id="T-1047")
    return {"different": different, "expired": expired, "done": done}


def _asked(house: House, key: str, tool: str, **arguments: str) -> str:
    answer = house.call(key, f"desk__{tool}", arguments)
    approval: str = answer["result"]["structuredContent"]["approval_id"]
    return approval


def _answered(house: House, key: str, tool: str, **arguments: str) -> None:
    """A program of 2026-07-28 goes on with a call whose server asked something back."""
    said = {"really": {"action": "accept", "content": {"reason": "The customer said so."}}}
    about = {"name": f"desk__{tool}", "arguments": arguments, "_meta": modern_meta()}
    params = about | {"inputResponses": said, "requestState": "c3RlcC0yOm5hLXNlcnZlcg=="}
    headers = {"mcp_protocol_version": "2026-07-28", "mcp_method": "tools/call", "mcp_name": f"desk__{tool}"}
    house.post({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, key, **headers)
