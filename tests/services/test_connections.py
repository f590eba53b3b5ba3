"""Signing in: nothing is kept that did not work, nothing that is kept comes out again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.conftest import Connect
from tests.services.farm import Farm, tool
from tests.upstream.zoo import Answer, always, as_json, error, guarded, modern
from webapp.errors import Forbidden, InvalidInput, Stale, UpstreamError
from webapp.services import connections, headers, integrations, sync
from webapp.services.audit import COMMAND, Actor
from webapp.store.database import writing
from webapp.store.models import Connection, Entry, Integration, Tool, User

TOKEN = "tok-3c1f9a7e5d"
READ = tool("get_ticket", "Get one ticket")


@pytest.fixture
def draft(store: None, servers: Farm, ann: Actor) -> Integration:
    made = integrations.add_server(servers.url(), ann, name="desk")
    return integrations.allow_private(made, servers.allowance, ann)


def behind(value: str, header: str = "authorization", **more: Any) -> Any:
    return guarded(modern((READ,)), "Bearer", credentials=(header, value), **more)


def everything_stored() -> str:
    rows = [*Connection.select().dicts(), *Integration.select().dicts(), *Entry.select().dicts()]
    return repr(rows)


def test_a_bearer_token_that_works_is_kept_sealed_and_sent(
    servers: Farm, draft: Integration, ann: Actor
) -> None:
    servers.put(behind(f"Bearer {TOKEN}"))
    connections.save_headers(draft, "bearer", [headers.bearer(TOKEN)], ann)
    draft = integrations.find("desk")
    assert draft.state == "connected"
    assert connections.credentials_for(draft).headers == {"Authorization": f"Bearer {TOKEN}"}
    assert TOKEN not in everything_stored()
    assert set(servers.sent("authorization")) == {f"Bearer {TOKEN}"}


def test_whose_token_it_is_is_kept(servers: Farm, draft: Integration) -> None:
    servers.put(behind(f"Bearer {TOKEN}"))
    sue = User.create(email="sue@example.com", password_hash="", role="admin")
    for actor, giver in ((Actor("user", sue.email, sue.id, "admin"), sue), (COMMAND, None)):
        connections.save_headers(integrations.find("desk"), "bearer", [headers.bearer(TOKEN)], actor)
        assert Connection.get().given_by == giver


@pytest.mark.parametrize(
    "pasted", [f"Bearer {TOKEN}", f" bearer {TOKEN}\n", f"Authorization: Bearer {TOKEN}"]
)
def test_a_token_may_be_pasted_with_its_scheme(pasted: str) -> None:
    (row,) = headers.checked([headers.bearer(pasted)])
    assert row.value == f"Bearer {TOKEN}"


def test_a_refused_token_is_not_kept_and_not_repeated(servers: Farm, draft: Integration, ann: Actor) -> None:
    servers.put(
        always(Answer(401, b"", {"www-authenticate": f'Bearer error="invalid_token", hint="{TOKEN}"'}))
    )
    with pytest.raises(InvalidInput) as refusal:
        connections.save_headers(draft, "bearer", [headers.bearer(TOKEN)], ann)
    said = f"{refusal.value.what} {refusal.value.why} {refusal.value.next_step} {refusal.value!r}"
    assert "401" in said
    assert "invalid_token" in said
    assert TOKEN not in said
    assert refusal.value.__cause__ is None
    assert Connection.select().count() == 0
    assert integrations.find("desk").state == "draft"


def test_what_a_server_says_about_the_token_is_told_without_it(
    servers: Farm, draft: Integration, ann: Actor
) -> None:
    async def talkative(ask: Any) -> Answer:
        return error(ask, -32001, f"Key {TOKEN} has expired")

    servers.put(modern(tools_list=talkative))
    with pytest.raises(UpstreamError) as refusal:
        connections.save_headers(draft, "bearer", [headers.bearer(TOKEN)], ann)
    assert "has expired" in refusal.value.what
    assert TOKEN not in f"{refusal.value} {refusal.value.what} {refusal.value!r}"


def test_a_new_token_that_fails_leaves_the_old_one_at_work(
    servers: Farm, draft: Integration, ann: Actor
) -> None:
    servers.put(behind(f"Bearer {TOKEN}"))
    connections.save_headers(draft, "bearer", [headers.bearer(TOKEN)], ann)
    with pytest.raises(InvalidInput):
        connections.save_headers(draft, "bearer", [headers.bearer("another")], ann)
    draft = integrations.find("desk")
    assert connections.credentials_for(draft).headers["Authorization"] == f"Bearer {TOKEN}"
    assert draft.state == "connected"


def test_vendor_headers_are_filled_in_by_their_form(servers: Farm, draft: Integration, ann: Actor) -> None:
    servers.put(behind(f"Token token={TOKEN}"))
    rows = [("Authorization", "Token token={secret}", TOKEN), ("X-Tenant", "", "acme")]
    connections.save_headers(draft, "header", rows, ann)
    assert connections.credentials_for(draft).headers == {
        "Authorization": f"Token token={TOKEN}",
        "X-Tenant": "acme",
    }


def test_an_empty_value_keeps_the_stored_one_of_the_same_header(
    servers: Farm, draft: Integration, ann: Actor
) -> None:
    servers.put(modern((READ,)))
    connections.save_headers(draft, "header", [("X-Api-Key", "", TOKEN)], ann)
    connections.save_headers(
        draft, "header", [("x-api-key", "key={secret}", ""), ("X-Tenant", "", "acme")], ann
    )
    kept = connections.credentials_for(draft).headers
    assert kept == {"x-api-key": f"key={TOKEN}", "X-Tenant": "acme"}
    with pytest.raises(InvalidInput, match="X-Other"):
        connections.save_headers(draft, "header", [("X-Other", "", "")], ann)


@pytest.mark.parametrize("secret", ["${HOME}", "{{config.key}}", "{secret}", "%s", "$(id)"])
def test_nothing_in_a_secret_is_expanded(secret: str) -> None:
    (row,) = headers.checked([("X-Key", "Key {secret}!", secret)])
    assert row.value == f"Key {secret}!"


def test_a_user_name_and_password_become_one_basic_header() -> None:
    (row,) = headers.checked([headers.basic("Aladdin", "open sesame")])
    assert row.value == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    with pytest.raises(InvalidInput, match="colon"):
        headers.basic("a:b", "c")


@pytest.mark.parametrize(
    "name",
    ["", "X Key", "X:Key", "X-Key\r\nEvil: 1", "Ключ", "X-Key\u200b", "Host", "host", "Content-Type",
     "Content-Length", "Transfer-Encoding", "Connection", "TE", "Upgrade", "Proxy-Authorization",
     "Mcp-Session-Id", "MCP-Protocol-Version", "Accept", "Accept-Encoding", "Last-Event-ID", "Sec-Mode"],
)  # fmt: skip
def test_header_names_that_break_or_smuggle_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        headers.checked([(name, "", "value")])


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "tök", "“quoted”", "a\tb", "x" * 20_000])
def test_values_that_a_header_cannot_carry_are_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        headers.checked([("X-Key", "", value)])
    assert value not in str(refusal.value)


@pytest.mark.parametrize("template", ["Token", "{secret}{secret}", "a\r\nb {secret}"])
def test_a_form_without_one_place_for_the_value_is_refused(template: str) -> None:
    with pytest.raises(InvalidInput):
        headers.checked([("X-Key", template, "value")])


def test_the_same_header_twice_is_refused() -> None:
    with pytest.raises(InvalidInput, match="twice"):
        headers.checked([("X-Key", "", "a"), ("x-key", "", "b")])


def test_only_admins_sign_in(draft: Integration, tom: Actor, vic: Actor) -> None:
    for actor in (tom, vic):
        with pytest.raises(Forbidden):
            connections.save_headers(draft, "none", [], actor)


def test_the_log_names_the_headers_and_never_the_values(
    servers: Farm, draft: Integration, ann: Actor
) -> None:
    servers.put(modern((READ,)))
    connections.save_headers(draft, "header", [("X-Api-Key", "", TOKEN)], ann)
    entry = Entry.select().where(Entry.action == "connection.saved").get()
    assert '"X-Api-Key"' in entry.details
    assert TOKEN not in entry.details


def test_a_private_address_that_nobody_allowed_gets_no_token(store: None, servers: Farm, ann: Actor) -> None:
    servers.put(modern((READ,)))
    draft = integrations.add_server(servers.url(), ann)
    with pytest.raises(UpstreamError):
        connections.save_headers(draft, "bearer", [headers.bearer(TOKEN)], ann)
    assert servers.zoo.asked == []


def test_an_exception_for_one_server_opens_nothing_for_another(
    servers: Farm, connect: Connect, ann: Actor
) -> None:
    servers.put(modern((READ,)))
    connect("desk")
    other = integrations.add_server(servers.url("/other"), ann, name="other")
    with pytest.raises(UpstreamError):
        connections.fetch(other)


def test_a_redirect_to_another_place_takes_no_token_along(
    servers: Farm, draft: Integration, ann: Actor
) -> None:
    elsewhere = f"http://127.0.0.2:{servers.port}/mcp"
    servers.put(always(Answer(307, headers={"location": elsewhere})))
    with pytest.raises(UpstreamError):
        connections.save_headers(draft, "bearer", [headers.bearer(TOKEN)], ann)
    assert {ask.headers["host"] for ask in servers.zoo.asked} == {f"127.0.0.1:{servers.port}"}


def test_a_listing_that_says_nothing_is_no_sign_in(servers: Farm, draft: Integration, ann: Actor) -> None:
    servers.put(modern(None))
    with pytest.raises(UpstreamError):
        connections.save_headers(draft, "none", [], ann)
    assert integrations.find("desk").state == "draft"


def test_a_server_that_answers_with_json_of_its_own_is_refused(
    servers: Farm, draft: Integration, ann: Actor
) -> None:
    servers.put(always(as_json({"hello": "world"})))
    with pytest.raises(UpstreamError):
        connections.save_headers(draft, "none", [], ann)


def test_a_draft_that_moved_meanwhile_gets_no_sign_in(servers: Farm, draft: Integration, ann: Actor) -> None:
    """Its address was changed while the old one was being tried."""
    servers.put(modern((READ,)))
    stale = Integration.get_by_id(draft.id)
    with writing():
        Integration.update(url="https://other.example.com/mcp").execute()
    with pytest.raises(Stale):
        connections.save_headers(stale, "none", [], ann)
    assert Connection.select().count() == 0


def test_a_secret_of_one_record_does_not_open_in_another(servers: Farm, connect: Connect, ann: Actor) -> None:
    servers.put(modern((READ,)))
    one, other = connect("one"), connect("other")
    connections.save_headers(one, "bearer", [headers.bearer(TOKEN)], ann)
    connections.save_headers(other, "bearer", [headers.bearer("harmless")], ann)
    stolen = connections.of(one)
    assert stolen is not None
    with writing():
        Connection.update(secrets=stolen.secrets).where(Connection.integration == other).execute()
    with pytest.raises(Exception, match="refused"):
        connections.credentials_for(other)


def test_replacing_the_token_keeps_tools_and_policies(servers: Farm, connect: Connect, ann: Actor) -> None:
    servers.put(modern((READ,)))
    desk = connect()
    with writing():
        Tool.update(policy="disabled").execute()
    fetched = connections.save_headers(desk, "bearer", [headers.bearer(TOKEN)], ann)
    sync.adopt(desk, fetched, ann)
    assert [row.policy for row in Tool.select()] == ["disabled"]
