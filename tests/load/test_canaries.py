"""The whole life of sign-ins at the real program, and a search for every secret in every place it could get to."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from html import unescape
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlsplit

import pytest

from tests import databases
from tests.admin import SETTINGS, Admin, Answer, admin_of, furnish
from tests.authority import Service, authority
from tests.canaries import dresses, files_in, leaks, rows_of
from tests.serving import Gatehouse, gatehouse
from tests.signing_in import answer_of

TOKEN_FAULTS = ("error200", "html", "no_token", "form_always", "cut", "huge", "redirect", "moved")
ECHOES = ("plain", "body", "header", "code")
MOST_PAGES = 400
# Typed by hand here, so that no other part of the test gives them away.
TYPED = {name: f"typed-{name}-{'7c1e9' * 4}" for name in ("bearer", "header", "password")}


@dataclass
class Life:
    """What is done to one Gatehouse, and all that came out of it."""

    running: Gatehouse
    admin: Admin
    key: str
    services: list[Service] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)  # by the agent
    callbacks: list[str] = field(default_factory=list)

    def call(self, name: str, tool: str = "list_notes", **arguments: Any) -> str:
        answer = json.dumps(self.running.house.call(self.key, f"{name}__{tool}", arguments))
        self.heard.append(answer)
        return answer

    def walked(self, service: Service, name: str, **form: str) -> tuple[str, str]:
        """The page before the jump, and the way back."""
        page = self.admin.begin(name, **form)
        callback = service.walk(self.admin.jump(page))
        self.callbacks.append(callback)
        return page, callback

    def signed_in(self, service: Service, name: str, **form: str) -> Answer:
        return self.admin.back(self.walked(service, name, **form)[1])

    def refused(self, service: Service, name: str) -> None:
        """A sign-in that ends on its own page, whatever the reason."""
        page, callback = self.walked(service, name)
        assert self.admin.back(callback).location == page
        assert "Try again" in self.admin.get(page).text

    def looked_at(self, name: str) -> None:
        """The connection doctor, and the pages of the server."""
        self.admin.post(f"{SETTINGS}/{name}/check")
        self.admin.checked(name)
        for page in ("", "/check", "/setup/check", "/setup/sign-in"):
            self.admin.get(f"{SETTINGS}/{name}{page}")

    @property
    def secrets(self) -> set[str]:
        """All that was given out, made up or typed so far."""
        found = {secret for service in self.services for secret in service.secrets} | set(TYPED.values())
        for service in self.services:
            found |= {seen.query["state"] for seen in service.asked("/authorize")}
            found |= {
                verifier for seen in service.asked("/token") if (verifier := seen.form.get("code_verifier"))
            }
        found |= {answer_of(callback)["state"] for callback in self.callbacks}
        return found | {self.key} | set(self.admin.cookies.values())

    def places(self) -> dict[str, bytes]:
        house, folder = self.running.house, self.running.data.parent
        copy = folder / f"backup-{len(list(folder.glob('backup-*')))}.db"
        house.run("backup", str(copy))
        found = files_in(folder) | {"all rows": rows_of(copy)}
        for command in (["servers"], ["tools"], ["activity", "--limit", "100000"]):
            found[f"flask {command[0]}"] = house.run(*command, "--json").stdout.encode()
        found |= {f"agent, {number}": text.encode() for number, text in enumerate(self.heard)}
        vendors = tuple(service.origin for service in self.services)
        seen = [answer for answer in self.admin.seen if not answer.location.startswith(vendors)]
        return found | {
            f"{number} {page.asked[:60]}": page.whole.encode() for number, page in enumerate(seen)
        }

    def crawl(self) -> int:
        """Every page that a link leads to, except the end of the visit and the jumps; how many."""
        waiting, known, variants = ["/"], {"/"}, dict[str, int]()
        while waiting and len(known) < MOST_PAGES:
            html = self.admin.get(waiting.pop(0)).whole
            for link in map(unescape, re.findall(r'(?:href|action)="(/[^"#]*)', html)):
                path = urlsplit(link).path
                if link in known or path.endswith(("/go", "/logout")) or path.startswith("/static"):
                    continue
                variants[path] = variants.get(path, 0) + 1
                if variants[path] <= 3:
                    known.add(link)
                    waiting.append(link)
        return len(known)

    def searched(self) -> list[str]:
        self.crawl()
        return leaks(self.secrets, self.places())


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    """With an access log, as some owners want one."""
    with gatehouse(tmp_path, GUNICORN_CMD_ARGS="--access-logfile -") as running, ExitStack() as stack:
        furnish(running.house)
        key = running.house.agent("claude")
        admin = stack.enter_context(admin_of(running.house))
        one = Life(running, admin, key)
        for method in ("basic", "post"):
            one.services.append(stack.enter_context(authority(assigned=method, email="ops@msp.example")))
        yield one


def signed_in_and_in_use(life: Life) -> None:
    for service, name in zip(life.services, ("basic", "post"), strict=True):
        life.admin.add(service, name)
        assert life.signed_in(service, name).location == f"{SETTINGS}/{name}/setup/tools"
        life.admin.post(f"{SETTINGS}/{name}/setup/tools")
        assert "milk" in life.call(name)
        service.expire_access_tokens()
        assert "milk" in life.call(name) and service.refreshes == 1
        life.looked_at(name)
    assert "ops@msp.example" in life.admin.get(f"{SETTINGS}/basic").text


def more_access_trouble_and_a_new_sign_in(life: Life) -> None:
    vendor = life.services[0]
    life.running.house.run("set-policy", "mcp:basic:write_note", "auto")
    vendor.faults.scopes = None
    vendor.demand_scope("write_note", "notes.admin")
    life.call("basic", "write_note", text="eggs")
    assert "Grant more access" in life.admin.get(f"{SETTINGS}/basic").whole
    life.signed_in(vendor, "basic", wish="more")
    assert "is written" in life.call("basic", "write_note", text="eggs")
    vendor.faults.token_status, vendor.faults.token_troubles = 503, -1
    vendor.expire_access_tokens()
    life.call("basic")
    life.admin.post(f"{SETTINGS}/basic/sync")
    life.looked_at("basic")
    vendor.faults.token_status = vendor.faults.token_troubles = 0
    vendor.revoke_grant()
    life.signed_in(vendor, "basic")
    assert "milk" in life.call("basic")
    vendor.revoke_grant()
    assert "sign in again" in life.call("basic")
    life.looked_at("basic")
    assert "Reconnect" in life.admin.get(f"{SETTINGS}/basic").whole
    life.signed_in(vendor, "basic")
    assert "milk" in life.call("basic")


def sign_ins_fail_in_every_way(life: Life) -> None:
    vendor = life.services[0]
    for fault in TOKEN_FAULTS:
        vendor.faults.token = fault  # type: ignore[assignment]
        life.refused(vendor, "basic")
    vendor.faults.token = ""
    for fault in ("wrong", "missing"):
        vendor.faults.iss = fault  # type: ignore[assignment]
        life.refused(vendor, "basic")
    vendor.faults.iss = "right"
    _, callback = life.walked(vendor, "basic")
    for odd in (f"{callback}&code=another", callback, callback.replace("state=", "state=x"), callback):
        life.admin.get(odd)
    page, callback = life.walked(vendor, "basic")
    assert life.admin.post(f"{page}/pasted", address=f"x{callback}").status == 422
    assert life.admin.post(f"{page}/pasted", address=callback).status == 303


def services_repeat_what_they_were_sent(life: Life) -> None:
    """In refusals of the page, of a code, and of a renewal."""
    both = list(zip(life.services, ("basic", "post"), strict=True))
    for echo, (service, name) in product(ECHOES, both):
        assert life.signed_in(service, name).location == f"{SETTINGS}/{name}"
        service.faults.consent, service.faults.echo = "refuse", echo  # type: ignore[assignment]
        life.refused(service, name)
        service.faults.consent = "allow"
        life.refused(service, name)
        asked = len(service.asked("/token"))
        service.expire_access_tokens()
        life.call(name)
        assert len(service.asked("/token")) == asked + 1
        life.looked_at(name)
        service.faults.echo = ""


def servers_repeat_the_token_they_refuse(life: Life) -> None:
    vendor = life.services[0]
    life.signed_in(vendor, "basic")
    vendor.faults.always_401, vendor.faults.echo = True, "plain"
    life.call("basic")
    life.admin.post(f"{SETTINGS}/basic/sync")
    life.looked_at("basic")
    life.admin.add(vendor, "typed")
    where = f"{SETTINGS}/typed/setup/sign-in"
    for form in (
        {"kind": "bearer", "token": TYPED["bearer"]},
        {"kind": "header", "name": "Authorization", "template": "Token token={secret}", "secret": TYPED["header"]},
        {"kind": "basic", "user": "ops", "password": TYPED["password"]},
    ):  # fmt: skip
        assert life.admin.post(where, **form).status in (422, 502)
        life.looked_at("typed")
    vendor.faults.always_401, vendor.faults.echo = False, ""


def a_client_an_admin_entered(life: Life) -> None:
    vendor = life.services[0]
    app = vendor.client("post", f"{life.running.url}/oauth/callback")
    vendor.faults.auth_methods = ("client_secret_post",)
    life.admin.add(vendor, "entered")
    form = {"issuer": vendor.issuer, "client_id": app.client_id, "client_secret": app.secret}
    begun = life.admin.post(f"{SETTINGS}/entered/setup/sign-in/client", **form)
    assert begun.status == 303
    callback = vendor.walk(life.admin.jump(begun.location))
    assert life.admin.back(callback).location == f"{SETTINGS}/entered/setup/tools"
    assert "milk" in life.call("entered")
    life.admin.post(
        f"{SETTINGS}/entered/setup/sign-in/client",
        issuer=vendor.issuer,
        client_id="",
        client_secret=app.secret,
    )


def killed_in_the_middle(life: Life) -> None:
    """The files as they lie there, and what the next life makes of them."""
    vendor = life.services[0]
    page, callback = life.walked(vendor, "basic")
    vendor.faults.hold_answer = gate = threading.Event()
    before = vendor.exchanges
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(life.admin.back, callback)
        while vendor.exchanges == before:
            assert not under_way.done()
            threading.Event().wait(0.01)
        life.running.kill("all")
        gate.set()
        assert under_way.exception(60) is not None
    vendor.faults.hold_answer = None
    files = files_in(life.running.data)
    if not databases.SERVER:
        assert [path for path in files if path.endswith("-wal")], "killed, so nobody tidied up"
    assert leaks(life.secrets, files) == []
    life.running.up()
    assert "stopped in the middle" in life.admin.get(page).text
    life.signed_in(vendor, "basic")
    assert "milk" in life.call("basic")


def given_back_at_the_end(life: Life) -> None:
    vendor = life.services[0]
    for name in ("basic", "post", "entered"):
        service = life.services[name == "post"]
        service.faults.echo = "plain" if name == "post" else ""
        assert life.admin.post(f"{SETTINGS}/{name}/disconnect", confirm=name).status == 303
    assert vendor.revocations >= 2
    life.admin.post(f"{SETTINGS}/typed/discard")
    life.running.stop()
    life.running.up()


def test_no_secret_is_found_anywhere(life: Life) -> None:
    signed_in_and_in_use(life)
    more_access_trouble_and_a_new_sign_in(life)
    sign_ins_fail_in_every_way(life)
    services_repeat_what_they_were_sent(life)
    servers_repeat_the_token_they_refuse(life)
    a_client_an_admin_entered(life)
    killed_in_the_middle(life)
    assert life.searched() == []
    given_back_at_the_end(life)
    assert life.searched() == []
    assert len(life.secrets) > 100 and "/oauth/callback" in life.running.said()


@pytest.mark.parametrize(
    "dressed",
    [
        "{}",
        '{{"a": "{}"}}',
        "%3D{}%26",
    ],
)
def test_the_search_itself_finds_what_is_there(dressed: str) -> None:
    secret = "Ab_cd-+ef/=gh.12345~"
    for text in (secret, quote_plus(secret), secret.encode().hex()):
        assert leaks([secret], {"here": dressed.format(text).encode()}) == [f"here: {secret}"]
    for before in ("", "a", "ab", "abc"):
        encoded = base64.b64encode(f"{before}{secret}{before}".encode())
        assert leaks([secret], {"here": encoded}), before
    assert leaks([secret], {"here": b"Ab_cd-+ef/=gh.1234"}) == []
    assert min(map(len, dresses(secret))) >= len(secret)
