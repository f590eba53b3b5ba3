"""Export and import on Settings → General: a look first, then exactly that."""

from __future__ import annotations

import io
import re
from html import unescape

from werkzeug.test import TestResponse

from tests.routes.settings_house import Connect, admin, app, connect, furnished, meadow, servers, viewer  # noqa: F401
from tests.routes.visitors import HERE, Visitor, text_of
from webapp.store.models import Entry, Tool

PLACE = "/settings/general/inventory"


def upload(visitor: Visitor, text: str | bytes) -> TestResponse:
    file = (io.BytesIO(text if isinstance(text, bytes) else text.encode()), "gatehouse.yaml")
    form = {"csrf_token": visitor.token, "file": file}
    return visitor.browser.post(f"{PLACE}/preview", data=form, headers={"Origin": HERE})


def hidden(html: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', html)
    assert found
    return unescape(found[1])


def test_the_export_is_a_file_that_imports(admin: Visitor, connect: Connect) -> None:  # noqa: F811
    connect()
    reply = admin.post(f"{PLACE}/file")
    assert reply.headers["Content-Disposition"] == 'attachment; filename="gatehouse.yaml"'
    assert reply.headers["Cache-Control"] == "no-store" and "get_ticket: auto" in reply.text
    assert "Nothing to change" in upload(admin, reply.text).text


def test_what_is_looked_at_is_what_is_done(admin: Visitor, connect: Connect) -> None:  # noqa: F811
    connect()
    text = admin.post(f"{PLACE}/file").text.replace("delete_ticket: approval", "delete_ticket: auto")
    preview = upload(admin, text).text
    assert "1 gives agents more permission" in text_of(preview)
    assert "mcp:desk:delete_ticket becomes Auto; it was Approval needed." in text_of(preview)
    assert Tool.get(Tool.name == "delete_ticket").policy == "approval"
    form = {"seen": hidden(preview, "seen"), "text": hidden(preview, "text")}
    assert admin.post(PLACE, **form).status_code == 303
    assert "1 change was made." in admin.get("/settings/integrations")
    assert Tool.get(Tool.name == "delete_ticket").policy == "auto"
    entry = Entry.get(Entry.action == "inventory.imported")
    assert "imported servers and policies from a file: 1 changes" in text_of(
        admin.get(f"/activity/{entry.id}")
    )
    late = admin.post(PLACE, **form)
    assert late.status_code == 409 and "Something has changed here since the preview" in late.text


def test_without_a_look_nothing_is_done(admin: Visitor, connect: Connect) -> None:  # noqa: F811
    connect()
    text = admin.post(f"{PLACE}/file").text.replace("delete_ticket: approval", "delete_ticket: auto")
    assert admin.post(PLACE, text=text).status_code == 409
    assert admin.post(PLACE, text=text, seen="x").status_code == 409
    assert Tool.get(Tool.name == "delete_ticket").policy == "approval"


def test_a_file_that_is_wrong_is_refused_on_the_page(admin: Visitor) -> None:  # noqa: F811
    for file, words in (
        ("gatehouse: 1\n<script>: 1", "Line 2: there is no field “<script>” in the file."),
        (b"\xff\xfe", "This file is not text."),
        ("", "No file was chosen."),
    ):
        reply = upload(admin, file)
        assert reply.status_code == 422 and words in text_of(reply.text), reply.text
        assert "<title>Error:" in reply.text and "<script>:" not in reply.text


def test_texts_of_the_file_are_shown_as_text(admin: Visitor) -> None:  # noqa: F811
    text = (
        'gatehouse: 1\nservers:\n- name: desk\n  url: https://a.example\n  tools:\n    "<b>\\u202Ex": auto\n'
    )
    preview = upload(admin, text).text
    assert "<b>" not in preview and "hidden-char" in preview


def test_ways_into_the_own_network_are_named_each_and_all(admin: Visitor) -> None:  # noqa: F811
    rows = [
        f"- name: s{n}\n  url: https://s{n}.example/mcp\n"
        f"  allow: [{{host: s{n}.example, port: 443, network: 10.{n // 256}.{n % 256}.0/24}}]\n"
        for n in range(510)
    ]
    page = text_of(upload(admin, "gatehouse: 1\nservers:\n" + "".join(rows)).text)
    assert "These open 510 ways into your own network" in page
    for n in range(510):
        assert f"s{n} may be at s{n}.example, port 443, in the network 10.{n // 256}.{n % 256}.0/24." in page


def test_viewers_are_not_offered_it(viewer: Visitor, admin: Visitor) -> None:  # noqa: F811
    assert PLACE not in viewer.get("/settings/general")
    assert PLACE in admin.get("/settings/general")
