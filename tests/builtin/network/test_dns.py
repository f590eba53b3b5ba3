"""lookup_dns: answers, silence and refusals, each in words."""

from __future__ import annotations

import asyncio
from typing import Any

import dns.resolver
import pytest

from tests.builtin.calling import Answer, ask, ask_alone
from tests.builtin.network.name_server import NameServer, Zone, name_server
from webapp.builtin import Context
from webapp.upstream.egress import Egress

ZONE = {
    "shop.example A": ["8.8.4.4", "8.8.8.8"],
    "shop.example MX": ["10 mail.shop.example.", "20 spare.shop.example."],
    "shop.example TXT": ['"v=spf1 " "-all"', '"line\\010break"'],
    "shop.example TYPE65280": ["\\# 2 abcd"],
    "www.shop.example CNAME": ["shop.example."],
    "8.8.8.8.in-addr.arpa PTR": ["dns.example."],
    "xn--mnchen-3ya.example A": ["8.8.8.8"],
    "office.shop.example A": ["10.1.2.3"],
    "mixed.shop.example A": ["8.8.8.8", "192.168.1.9"],
    "six.shop.example AAAA": ["fd00::5"],
    "hint.shop.example HTTPS": ["1 . ipv4hint=10.1.2.3"],
    "alias.shop.example CNAME": ["office.shop.example."],
    "nas.lan A": ["8.8.8.8"],
    "5.2.1.10.in-addr.arpa PTR": ["dc01.shop.example."],
}


def look_up(zone: Zone = ZONE, *, seconds: float = 10.0, **arguments: Any) -> tuple[Answer, NameServer]:
    async def go() -> tuple[Answer, NameServer]:
        async with name_server(zone, silent="silent.shop.example", broken="broken.shop.example") as server:
            context = Context(Egress(), name_servers=server.place, seconds=seconds)
            return await ask("lookup_dns", context, **arguments), server

    return asyncio.run(go())


def test_addresses_are_the_default() -> None:
    answer, server = look_up(name="shop.example")
    assert answer.data["records"] == ["8.8.4.4", "8.8.8.8"]
    assert answer.data["ttl_seconds"] == 300
    assert answer.text.startswith("shop.example has 2 A records")
    assert server.asked == ["shop.example A"]


def test_any_record_type_can_be_asked_for() -> None:
    mail, _ = look_up(name="shop.example", type="mx")
    assert mail.data["records"] == ["10 mail.shop.example.", "20 spare.shop.example."]
    unknown, _ = look_up(name="shop.example", type="TYPE65280")
    assert unknown.data["records"] == ["\\# 2 abcd"]


def test_texts_are_put_together_and_stay_on_one_line() -> None:
    answer, _ = look_up(name="shop.example", type="TXT")
    assert answer.data["records"] == ["v=spf1 -all", "line\\nbreak"]


def test_an_alias_is_named() -> None:
    answer, _ = look_up(name="www.shop.example")
    assert answer.data["canonical_name"] == "shop.example"
    assert "an alias of shop.example" in answer.text


def test_an_address_is_turned_round_for_ptr() -> None:
    answer, server = look_up(name="8.8.8.8", type="PTR")
    assert answer.data["records"] == ["dns.example."]
    assert server.asked == ["8.8.8.8.in-addr.arpa PTR"]


def test_names_in_other_scripts_are_asked_for_in_their_ascii_form() -> None:
    answer, _ = look_up(name="münchen.example")
    assert answer.data["records"] == ["8.8.8.8"]


def test_long_answers_come_over_tcp() -> None:
    zone = {"long.example TXT": [f'"{n:03d} {"x" * 200}"' for n in range(120)]}
    answer, server = look_up(zone, name="long.example", type="TXT")
    assert server.over_tcp == 1
    assert len(answer.data["records"]) == 100
    assert answer.data["more_records"] == 20
    assert len(answer.text) <= 20_000


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("nothing.other.example", "nxdomain", "There is no name nothing.other.example"),
        ("www.shop.example", "no_answer", "has no SRV record"),
        ("broken.shop.example", "failed", "SERVFAIL"),
    ],
)
def test_what_the_name_server_refuses_is_an_answer_in_words(name: str, status: str, words: str) -> None:
    answer, server = look_up(name=name, type="SRV")
    assert not answer.is_error
    assert answer.data["status"] == status
    assert words in answer.text
    assert str(server.port) not in answer.text


def test_silence_is_told_in_time() -> None:
    answer, _ = look_up(name="silent.shop.example", seconds=0.4)
    assert answer.data["status"] == "timeout"
    assert "did not answer" in answer.text


def test_a_name_server_that_is_not_there_is_told_without_its_address() -> None:
    context = Context(Egress(), name_servers=(("127.0.0.1", 1),), seconds=1.0)
    answer = ask_alone("lookup_dns", context, name="shop.example")
    assert answer.data["status"] in ("failed", "timeout")
    assert "127.0.0.1" not in answer.text


def test_only_the_name_servers_of_the_system_are_asked_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no argument for it, and without a configured one nothing else is tried."""

    def nothing_configured(*_: object, **__: object) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver.BaseResolver, "read_resolv_conf", nothing_configured)
    answer = ask_alone("lookup_dns", name="shop.example")
    assert answer.is_error
    assert "knows no name server" in answer.text
    refused = ask_alone("lookup_dns", name="shop.example", server="9.9.9.9")
    assert refused.text.startswith("There is no argument “server”.")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("office.shop.example", "A"),
        ("mixed.shop.example", "A"),
        ("six.shop.example", "AAAA"),
        ("alias.shop.example", "A"),
        ("hint.shop.example", "HTTPS"),
        ("nas.lan", "A"),
        ("missing.lan", "A"),
        ("printer", "A"),
        ("10.1.2.5", "PTR"),
        ("10.1.2.6", "PTR"),
        ("5.2.1.10.in-addr.arpa", "PTR"),
        ("2.1.10.in-addr.arpa", "NS"),
        ("fd00::1", "PTR"),
        ("169.254.169.254", "PTR"),
    ],
)
def test_what_is_inside_a_network_gets_one_and_the_same_sentence(name: str, kind: str) -> None:
    answer, _ = look_up(name=name, type=kind)
    assert answer.is_error
    assert answer.text.replace(name, "N") == (
        "“N” can't be checked: there is no public server of that name, or it can't be looked up. "
        "Gatehouse looks at the public internet only."
    )


def test_names_that_only_mean_something_inside_are_not_even_asked_for() -> None:
    for name in ("nas.lan", "NAS.Lan.", "printer", "10.1.2.5"):
        _, server = look_up(name=name, type="PTR" if name[0] == "1" else "A")
        assert server.asked == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "a..example"}, "“name” is not a domain name."),
        ({"name": f"{'x' * 64}.example"}, "“name” is not a domain name."),
        ({"name": "shop.example", "type": "WHAT"}, "“type” is not a DNS record type."),
        ({"name": "shop.example", "type": "TYPE99999"}, "“type” is not a DNS record type."),
        ({"name": "shop.example", "type": "AXFR"}, "“type” must be one record type"),
        ({"name": "shop.example", "type": "ANY"}, "“type” must be one record type"),
        ({"name": "8.8.8.8"}, "“name” is an IP address."),
        ({}, "The argument “name” is missing."),
        ({"name": 5}, "“name” must be text."),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments: dict[str, Any], words: str) -> None:
    answer, server = look_up(**arguments)
    assert answer.is_error
    assert words in answer.text
    assert server.asked == []
