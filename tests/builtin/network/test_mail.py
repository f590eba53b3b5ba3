"""check_mail_domain: each part with its verdict, and what a receiver would make of odd records."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.builtin.calling import Answer, ask
from tests.builtin.network.name_server import NameServer, Zone, name_server
from webapp.builtin import Context
from webapp.upstream.egress import Egress


def rsa_key(bits: int) -> str:
    key = rsa.generate_private_key(65537, bits).public_key()
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def text(value: str) -> str:
    """One TXT record, in pieces of at most 255 bytes as in a zone file."""
    return " ".join(f'"{value[start : start + 250]}"' for start in range(0, len(value), 250)).replace(
        ";", "\\;"
    )


GOOD: dict[str, list[str]] = {
    "shop.example SOA": ["ns.shop.example. admin.shop.example. 1 2 3 4 5"],
    "shop.example MX": ["10 mail.shop.example.", "5 first.shop.example."],
    "mail.shop.example A": ["8.8.8.8"],
    "first.shop.example AAAA": ["2606:4700::1"],
    "shop.example TXT": [
        text("v=spf1 mx include:_spf.cloud.example -all"),
        text("google-site-verification=x"),
    ],
    "_spf.cloud.example TXT": [text("v=spf1 ip4:8.8.8.0/24 ~all")],
    "selector1._domainkey.shop.example TXT": [text(f"v=DKIM1; k=rsa; p={rsa_key(2048)}")],
    "_dmarc.shop.example TXT": [text("v=DMARC1; p=reject; rua=mailto:d@shop.example")],
}


def check(
    zone: Zone,
    *,
    silent: str = "",
    broken: str = "",
    seconds: float = 10.0,
    domain: str = "shop.example",
    **arguments: Any,
) -> tuple[Answer, NameServer]:
    async def go() -> tuple[Answer, NameServer]:
        async with name_server(zone, silent=silent, broken=broken) as server:
            context = Context(Egress(), name_servers=server.place, seconds=seconds)
            return await ask("check_mail_domain", context, domain=domain, **arguments), server

    return asyncio.run(go())


def part(name: str, zone: Zone, **arguments: Any) -> dict[str, Any]:
    answer, _ = check(zone, **arguments)
    assert not answer.is_error
    found: dict[str, Any] = answer.data[name]
    assert found["explanation"] in answer.text
    return found


def spf(record: str, others: dict[str, str] | None = None, **arguments: Any) -> dict[str, Any]:
    zone = GOOD | {"shop.example TXT": [text(record)]}
    zone |= {f"{name} TXT": [text(value)] for name, value in (others or {}).items()}
    return part("spf", zone, **arguments)


def test_a_good_domain_is_found_good() -> None:
    answer, _ = check(GOOD)
    assert answer.text.startswith("Mail set-up of shop.example: ok. Nothing wrong was found.")
    assert {name: answer.data[name]["verdict"] for name in ("mx", "spf", "dkim", "dmarc")} == {
        "mx": "ok", "spf": "ok", "dkim": "ok", "dmarc": "ok",
    }  # fmt: skip
    assert answer.data["mx"]["servers"] == ["5 first.shop.example", "10 mail.shop.example"]
    assert answer.data["spf"]["lookups"] == 2


def test_a_domain_that_does_not_exist_is_told_in_one_sentence() -> None:
    answer, server = check({"other.example A": ["8.8.8.8"]})
    assert answer.data["verdict"] == "problem"
    assert "There is no name shop.example" in answer.text
    assert len(server.asked) == 1


def test_a_domain_without_anything_is_told_part_by_part() -> None:
    answer, _ = check({"shop.example SOA": GOOD["shop.example SOA"]})
    assert answer.data["verdict"] == "problem"
    assert "Look at MX, SPF, DMARC." in answer.text
    assert answer.data["dkim"]["verdict"] == "unknown"


class TestMx:
    def test_a_domain_that_takes_no_mail(self) -> None:
        assert "takes no mail" in part("mx", GOOD | {"shop.example MX": ["0 ."]})["explanation"]

    def test_a_server_without_a_public_address(self) -> None:
        missing = part("mx", GOOD | {"shop.example MX": ["5 gone.shop.example."]})
        private = part(
            "mx", GOOD | {"shop.example MX": ["5 gone.shop.example."], "gone.shop.example A": ["10.1.2.3"]}
        )
        assert missing == private
        assert missing["verdict"] == "problem"
        assert "gone.shop.example has no public address" in missing["explanation"]

    def test_an_alias_as_mail_server(self) -> None:
        zone = GOOD | {
            "shop.example MX": ["5 alias.shop.example."],
            "alias.shop.example CNAME": ["mail.shop.example."],
        }
        assert "alias (CNAME)" in part("mx", zone)["explanation"]


class TestSpf:
    @pytest.mark.parametrize(
        ("record", "verdict", "words"),
        [
            ("v=spf1 +all", "problem", "whole world"),
            ("v=spf1 all", "problem", "whole world"),
            ("v=spf1 ip4:8.8.8.8 ?all", "warning", "not stopped"),
            ("v=spf1 ip4:8.8.8.8 ~all", "ok", "suspicious"),
            ("V=SPF1 IP4:8.8.8.8 -ALL", "ok", "refused"),
            ("v=spf1 ip4:8.8.8.8", "warning", "without “all”"),
            ("v=spf1 ptr -all", "warning", "no longer recommended"),
            (
                "v=spf1 ipv4:8.8.8.8 -all",
                "problem",
                "“ipv4:8.8.8.8” in the record of shop.example is not valid",
            ),
            (
                "v=spf1 include:gone.example -all",
                "problem",
                "gone.example is included, but has no SPF record",
            ),
            ("v=spf1 include:a..b -all", "problem", "not a name that can be included"),
            ("v=spf1 include:%{i}.who.example -all", "ok", "refused"),
            ("v=spf1 include:shop.example -all", "problem", "leads back to itself"),
            ("v=spf1 redirect=_spf.cloud.example", "ok", "suspicious"),
            ("v=spf1 redirect=gone.example", "problem", "gone.example"),
        ],
    )
    def test_what_a_record_means(self, record: str, verdict: str, words: str) -> None:
        found = spf(record)
        assert found["verdict"] == verdict
        assert words in found["explanation"]

    def test_none_and_two(self) -> None:
        assert spf("v=spf10 -all")["verdict"] == "problem"
        twice = part("spf", GOOD | {"shop.example TXT": [text("v=spf1 -all"), text("v=spf1 ~all")]})
        assert "There are 2 SPF records" in twice["explanation"]

    def test_terms_are_explained(self) -> None:
        terms = {
            row["term"]: row["meaning"] for row in spf("v=spf1 a/24 include:_spf.cloud.example -all")["terms"]
        }
        assert terms["include:_spf.cloud.example"] == "those that _spf.cloud.example allows may send"
        assert terms["a/24"] == "the addresses of the domain itself may send"
        assert terms["-all"] == "all others may not send"

    def test_look_ups_are_counted_through_all_that_is_included(self) -> None:
        others = {f"s{n}.example": "v=spf1 a mx -all" for n in range(4)}
        record = "v=spf1 include:s0.example include:s1.example include:s2.example"
        ten = spf(f"{record} a -all", others)
        assert (ten["lookups"], ten["verdict"]) == (10, "ok")
        eleven = spf(f"{record} a mx -all", others)
        assert (eleven["lookups"], eleven["verdict"]) == (11, "problem")
        assert "It needs 11 DNS look-ups; receivers stop at 10" in eleven["explanation"]

    def test_what_stands_behind_all_costs_nothing(self) -> None:
        assert spf("v=spf1 -all include:_spf.cloud.example redirect=_spf.cloud.example")["lookups"] == 0

    def test_a_tree_of_includes_without_end_is_left_early(self) -> None:
        others = {
            f"s{n}.example": f"v=spf1 include:s{n + 1}.example include:t{n}.example -all" for n in range(60)
        }
        others |= {f"t{n}.example": "v=spf1 -all" for n in range(60)}
        zone = GOOD | {f"{name} TXT": [text(value)] for name, value in others.items()}
        answer, server = check(zone | {"shop.example TXT": [text("v=spf1 include:s0.example -all")]})
        assert "more than 20 DNS look-ups" in answer.data["spf"]["explanation"]
        assert sum(asked.endswith("TXT") for asked in server.asked) < 40

    def test_names_inside_a_network_are_not_asked_for(self) -> None:
        zone = GOOD | {"shop.example TXT": [text("v=spf1 include:dc01.corp include:dc02.lan -all")]}
        answer, server = check(zone)
        assert answer.data["spf"]["verdict"] == "problem"
        assert not [asked for asked in server.asked if "dc0" in asked]

    def test_a_name_server_that_does_not_answer_makes_it_unknown(self) -> None:
        assert (
            spf("v=spf1 include:_spf.cloud.example -all", broken="_spf.cloud.example")["verdict"] == "unknown"
        )


class TestDmarc:
    @pytest.mark.parametrize(
        ("record", "verdict", "words"),
        [
            ("v=DMARC1; p=reject; rua=mailto:a@b.example", "ok", "refused (p=reject)."),
            ("v=DMARC1;p=Quarantine", "ok", "nobody learns"),
            ("v=DMARC1; p=none", "warning", "only watched"),
            ("v=DMARC1; p=reject; pct=20", "warning", "20 %"),
            ("v=DMARC1; p=reject; pct=many", "warning", "not a number"),
            ("v=DMARC1; p=reject; sp=none", "warning", "Subdomains"),
            ("v=DMARC1; p=reject; t=y", "warning", "test"),
            ("v=DMARC1; p=block", "problem", "“block” is no policy"),
            ("v=DMARC1", "problem", "names no policy"),
        ],
    )
    def test_what_a_record_means(self, record: str, verdict: str, words: str) -> None:
        found = part("dmarc", GOOD | {"_dmarc.shop.example TXT": [text(record)]})
        assert found["verdict"] == verdict
        assert words in found["explanation"]

    def test_two_records_count_as_none(self) -> None:
        found = part(
            "dmarc", GOOD | {"_dmarc.shop.example TXT": ['"v=DMARC1; p=reject"', '"v=DMARC1; p=none"']}
        )
        assert found["verdict"] == "problem"

    def test_a_subdomain_takes_the_policy_of_its_parent(self) -> None:
        zone = GOOD | {
            "news.shop.example SOA": GOOD["shop.example SOA"],
            "_dmarc.shop.example TXT": [text("v=DMARC1; p=reject; sp=quarantine; rua=mailto:a@b.example")],
        }
        found = part("dmarc", zone, domain="news.shop.example")
        assert found["policy"] == "quarantine"
        assert found["found_at"] == "_dmarc.shop.example"


class TestDkim:
    @pytest.mark.parametrize(
        ("record", "verdict", "words"),
        [
            (f"v=DKIM1; p={rsa_key(2048)}", "ok", "2048 bits"),
            (f"k=rsa; t=y; p={rsa_key(2048)}", "warning", "marked as a test"),
            (f"v=DKIM1; p={rsa_key(1024)}", "warning", "2048 are recommended"),
            ("v=DKIM1; p=", "warning", "withdrawn"),
            ("v=DKIM1; p=MIIBcut", "problem", "can't be read"),
            ("v=DKIM1; p=!!!!", "problem", "can't be read"),
            ("v=DKIM1; k=rot13; p=AAAA", "problem", "unknown"),
            ("v=DKIM1; k=ed25519; p=AAAA", "problem", "Ed25519 key can't be read"),
            ("a note without a key", "problem", "no key here"),
        ],
    )
    def test_what_a_key_is_worth(self, record: str, verdict: str, words: str) -> None:
        zone = GOOD | {"mine._domainkey.shop.example TXT": [text(record)]}
        found = part("dkim", zone, dkim_selectors=["mine"])
        assert found["selectors"][0]["verdict"] == verdict
        assert words in found["explanation"]

    def test_a_key_of_the_newer_kind(self) -> None:
        raw = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        record = f"v=DKIM1; k=ed25519; p={base64.b64encode(raw).decode()}"
        found = part("dkim", GOOD | {"e._domainkey.shop.example TXT": [text(record)]}, dkim_selectors=["e"])
        assert found["verdict"] == "ok"

    def test_a_given_selector_without_a_key_is_a_problem(self) -> None:
        found = part("dkim", GOOD, dkim_selectors=["selector1", "gone"])
        assert found["verdict"] == "problem"
        assert "1 of 2 given selectors have a key." in found["explanation"]

    def test_a_selector_given_twice_is_looked_up_once(self) -> None:
        answer, server = check(GOOD, dkim_selectors=["selector1", "selector1"])
        assert len(answer.data["dkim"]["selectors"]) == 1
        assert server.asked.count("selector1._domainkey.shop.example TXT") == 1

    def test_a_name_that_would_be_too_long(self) -> None:
        domain = ".".join(["x" * 60] * 4)
        zone = {f"{domain} SOA": GOOD["shop.example SOA"]}
        assert "too long" in part("dkim", zone, domain=domain, dkim_selectors=["s"])["explanation"]

    def test_without_selectors_only_those_found_are_told(self) -> None:
        assert [row["selector"] for row in part("dkim", GOOD)["selectors"]] == ["selector1"]


def test_one_silent_part_does_not_cost_the_others() -> None:
    answer, _ = check(GOOD, silent="_dmarc.shop.example", seconds=2.0)
    assert answer.data["dmarc"]["verdict"] == "unknown"
    assert answer.data["spf"]["verdict"] == "ok"


def test_one_part_with_many_silent_names_does_not_cost_the_others() -> None:
    names = [f"s{n}.example" for n in range(3)]
    record = " ".join(["v=spf1", *(f"include:{name}" for name in names), "-all"])
    zone = GOOD | {"shop.example TXT": [text(record)]}
    answer, _ = check(zone, silent=" ".join(names), seconds=2.0)
    assert answer.data["spf"]["verdict"] == "unknown"
    assert answer.data["dmarc"]["verdict"] == "ok"


def test_a_silent_domain_is_told_in_time() -> None:
    answer, _ = check(GOOD, silent="shop.example", seconds=0.4)
    assert answer.data["verdict"] == "unknown"
    assert "in time" in answer.text


@pytest.mark.parametrize("domain", ["corp.lan", "mail.internal", "x.home.arpa"])
def test_a_domain_inside_a_network_is_not_asked_for(domain: str) -> None:
    answer, server = check(GOOD, domain=domain)
    assert answer.is_error
    assert "public internet only" in answer.text
    assert server.asked == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"domain": "info@shop.example"}, "“domain” is not a mail domain."),
        ({"domain": "https://shop.example"}, "“domain” is not a mail domain."),
        ({"domain": "shop"}, "“domain” is not a mail domain."),
        ({"domain": f"{'x' * 64}.example"}, "“domain” is not a domain name."),
        ({"dkim_selectors": ["a b"]}, "“dkim_selectors” has an entry that is no selector."),
        ({"dkim_selectors": [""]}, "“dkim_selectors[0]” must not be empty."),
        ({"dkim_selectors": []}, "“dkim_selectors” needs at least 1 entry."),
        ({"dkim_selectors": [f"s{n}" for n in range(11)]}, "“dkim_selectors” may have 10 entries at most."),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments: dict[str, Any], words: str) -> None:
    answer, _ = check(GOOD, **arguments)
    assert answer.is_error
    assert words in answer.text
