"""People are told that calls wait: by mail and in a chat, once, together, without a word of the arguments."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from config import Config
from tests.authority import authority
from tests.gateway.test_approvals import NOTE, ask
from tests.house import PASSWORD, House, served, text_of, token_in
from tests.mail_server import MailServer, mail_server
from tests.signing_in import connected, sign_in
from tests.waiting import until
from webapp.asgi import program
from webapp.services import approvals, integrations, notices, sync
from webapp.services.audit import COMMAND
from webapp.store.models import Approval, Entry, Notice, NoticeChannel

SECRET = "hunter2-canary"
SETTINGS = "/settings/notices"


@pytest.fixture(scope="module")
def house(practice: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Two notices may follow each other after a second."""
    data: Path = tmp_path_factory.mktemp("notices") / "data"
    made = program(Config(data=data, hold_seconds=0.1, notice_seconds=1, public_url="http://127.0.0.1:8000"))
    with served(made) as url:
        house = House(url, data, {"GATEHOUSE_DATA": str(data)}, made.app)
        house.run("create-user", "ann@example.com", "--role", "admin", "--name", "Ann", stdin=PASSWORD + "\n")
        house.run("add-server", f"{practice}/open/mcp", "--name", "desk", "--allow-private")
        yield house


@pytest.fixture(autouse=True)
def clean(house: House) -> Iterator[None]:
    yield
    for kind in ("mail", "webhook"):
        if house.do(lambda kind=kind: notices.of(kind)):
            house.do(lambda kind=kind: notices.remove(kind, COMMAND))
    for row in house.listed("approvals"):
        house.run("decide", row["id"], "deny")


@pytest.fixture
def post_office() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def ann(house: House) -> Iterator[httpx2.Client]:
    with house.browser() as browser:
        yield browser


class Chat(BaseHTTPRequestHandler):
    said: list[dict[str, Any]]
    status = 200

    def do_POST(self) -> None:
        self.said.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(type(self).status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def chat() -> Iterator[tuple[str, type[Chat]]]:
    kind = type("OneChat", (Chat,), {"said": [], "status": 200})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hooks/{SECRET}", kind
    server.shutdown()
    thread.join()
    server.server_close()


def enter(ann: httpx2.Client, address: str = f"{SETTINGS}/mail", **fields: Any) -> httpx2.Response:
    return ann.post(address, data=fields | {"csrf_token": token_in(ann.get(SETTINGS).text)})


def mail_of(server: MailServer, **changes: Any) -> dict[str, Any]:
    return {
        "host": "127.0.0.1", "port": str(server.port), "security": "none", "user": "", "password": "",
        "sender": "gatehouse@example.com", "recipients": "ann@example.com\nbob@example.com", "private": "on",
    } | changes  # fmt: skip


def test_a_waiting_call_is_told_by_mail_with_a_link_and_no_argument(
    house: House, ann: httpx2.Client, post_office: MailServer
) -> None:
    assert "Saved" in enter(ann, **mail_of(post_office)).text
    approval = ask(house, house.agent("Mail writer"), arguments=NOTE | {"text": "argument-canary"})
    assert post_office.came.wait(60)
    [message] = post_office.messages
    body = message.get_content()
    assert message["Subject"] == "Gatehouse: 1 call waits for approval"
    assert message["To"] == "ann@example.com, bob@example.com"
    assert f"http://127.0.0.1:8000/approvals/{approval}" in body and "mcp:desk:add_ticket_note" in body
    assert "argument-canary" not in str(message) and "T-1041" not in str(message)
    until(lambda: house.do(lambda: Notice.get().sent_at is not None))


def test_the_link_opens_the_card_and_decides_nothing(house: House, ann: httpx2.Client) -> None:
    approval = ask(house, house.agent("Link maker"))
    assert "Approve once" in ann.get(f"/approvals/{approval}?decision=approve").text
    assert ann.get(f"/approvals/{approval}/decision?decision=approve").status_code == 405
    assert house.do(lambda: approvals.get(approval).state) == "waiting"


def test_what_comes_together_is_told_together_and_once(
    house: House, ann: httpx2.Client, post_office: MailServer
) -> None:
    key = house.agent("Busy one")
    for number in range(12):
        ask(house, key, arguments=NOTE | {"text": str(number)})
    enter(ann, **mail_of(post_office))
    assert post_office.came.wait(60)
    body = post_office.messages[0].get_content()
    assert post_office.messages[0]["Subject"] == "Gatehouse: 12 calls wait for approval"
    assert body.count("/approvals/apr_") == 10 and "2 more" in body
    house.do(notices.tell)
    house.do(lambda: NoticeChannel.update(next_at=NoticeChannel.changed_at).execute())
    house.do(notices.tell)
    assert len(post_office.messages) == 1


def test_a_lost_sign_in_is_told_once_and_anew_only_when_it_is_lost_anew(
    house: House, ann: httpx2.Client, post_office: MailServer
) -> None:
    key = house.agent("Locked out")
    with authority() as service:
        house.do(lambda: sync.sync(connected(service), COMMAND))
        enter(ann, **mail_of(post_office))
        for count in (1, 2):
            post_office.came.clear()
            service.revoke_grant()
            for _ in range(3):
                assert "sign in again" in text_of(house.call(key, "notes__list_notes"))
            assert post_office.came.wait(60)
            for _ in range(2):
                house.do(lambda: NoticeChannel.update(next_at=NoticeChannel.changed_at).execute())
                house.do(notices.tell)
            assert len(post_office.messages) == count
            house.do(lambda: sign_in(service, integrations.find("notes")))
            house.do(notices.tell)
        message = post_office.messages[-1]
        assert message["Subject"] == "Gatehouse: 1 server needs a new sign-in"
        assert "http://127.0.0.1:8000/settings/integrations/notes" in message.get_content()
        assert "Sign-in expired" not in message.get_content(), "no word of the service"
        house.run("disconnect", "notes")


def test_of_many_workers_one_tells(house: House, ann: httpx2.Client, post_office: MailServer) -> None:
    enter(ann, **mail_of(post_office))
    ask(house, house.agent("Told once"))
    threads = [threading.Thread(target=house.do, args=(notices.tell,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert post_office.came.wait(60)
    assert len(post_office.messages) == 1


def test_a_refused_mail_is_on_the_page_and_in_the_log_and_told_later(
    house: House, ann: httpx2.Client, post_office: MailServer
) -> None:
    def times(action: str) -> int:
        return int(house.do(lambda: Entry.select().where(Entry.action == action).count()))

    failed, recovered = times("notices.failed"), times("notices.recovered")
    post_office.refuses["MAIL"] = f"550 {SECRET} is not wanted"
    enter(ann, **mail_of(post_office))
    ask(house, house.agent("Refused one"))
    until(lambda: bool(house.do(lambda: NoticeChannel.get().problem)))
    page = ann.get(SETTINGS).text
    assert "takes no mail from this sender" in page and "Failing" in page and SECRET not in page
    assert times("notices.failed") == failed + 1
    post_office.refuses.clear()
    assert post_office.came.wait(60)
    until(lambda: house.do(lambda: NoticeChannel.get().problem) == "")
    assert times("notices.recovered") == recovered + 1


def test_a_wrong_password_is_said_and_never_shown(
    house: House, ann: httpx2.Client, post_office: MailServer
) -> None:
    assert "not sent without TLS" in enter(ann, **mail_of(post_office, user="ann", password=SECRET)).text
    assert post_office.connections == 0


def test_a_test_notice_is_sent_by_a_button(house: House, ann: httpx2.Client, post_office: MailServer) -> None:
    enter(ann, **mail_of(post_office))
    assert "A test notice is sent by e-mail" in enter(ann, f"{SETTINGS}/mail/test").text
    assert "test notice" in post_office.messages[0]["Subject"]
    post_office.refuses["DATA"] = "451 later"
    assert "refused the mail (code 451)" in enter(ann, f"{SETTINGS}/mail/test").text


def test_a_mail_server_in_the_own_network_needs_a_tick(ann: httpx2.Client, post_office: MailServer) -> None:
    answer = enter(ann, **mail_of(post_office, private=""))
    assert answer.status_code == 422 and "own network" in answer.text
    enter(ann, **mail_of(post_office, private="", port="25"))
    answer = enter(ann, f"{SETTINGS}/mail/test")
    assert answer.status_code == 502 and "127.0.0.1" in answer.text


@pytest.mark.parametrize(("field", "value"), [
    ("host", "mail server"), ("port", "0"), ("port", "99999"), ("port", "²"), ("security", "maybe"),
    ("sender", "nobody"), ("sender", "a@b.example\r\nBcc: c@d.example"), ("recipients", " "),
    ("recipients", "a@b.example, <c@d.example>"), ("recipients", " ".join(f"p{n}@b.example" for n in range(21))),
])  # fmt: skip
def test_what_cannot_be_used_is_refused_at_its_field(
    house: House, ann: httpx2.Client, post_office: MailServer, field: str, value: str
) -> None:
    answer = enter(ann, **mail_of(post_office, **{field: value}))
    assert answer.status_code == 422 and "<title>Error: Notices" in answer.text
    assert house.do(lambda: notices.of("mail")) is None


def test_the_chat_is_told_and_its_address_stays_secret(
    house: House, ann: httpx2.Client, chat: tuple[str, type[Chat]]
) -> None:
    url, room = chat
    refused = enter(ann, f"{SETTINGS}/webhook", url=url)
    assert refused.status_code == 422 and SECRET not in refused.text
    enter(ann, f"{SETTINGS}/webhook", url=url, private="on")
    approval = ask(house, house.agent("Chat <!channel> user"), arguments=NOTE | {"text": "secret note"})
    until(lambda: bool(room.said))
    said = json.dumps(room.said)
    assert f"/approvals/{approval}" in said and "secret note" not in said and "<!channel>" not in said
    assert SECRET not in ann.get(SETTINGS).text
    whole = b"".join(path.read_bytes() for path in house.data.iterdir() if path.is_file())
    assert SECRET.encode() not in whole


def test_a_chat_that_is_gone_is_said(house: House, ann: httpx2.Client, chat: tuple[str, type[Chat]]) -> None:
    url, room = chat
    room.status = 404
    enter(ann, f"{SETTINGS}/webhook", url=url, private="on")
    answer = enter(ann, f"{SETTINGS}/webhook/test")
    assert answer.status_code == 502 and "status 404" in answer.text and "Settings → Notices" in answer.text
    assert SECRET not in answer.text


def test_switched_off_means_silence(house: House, ann: httpx2.Client, post_office: MailServer) -> None:
    enter(ann, **mail_of(post_office))
    enter(ann, f"{SETTINGS}/mail/state", wanted="off")
    ask(house, house.agent("Unheard one"))
    house.do(notices.tell)
    assert post_office.messages == []
    assert house.do(lambda: Approval.waiting().count()) == 1
