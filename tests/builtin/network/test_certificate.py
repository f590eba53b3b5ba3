"""inspect_certificate: good ones, bad ones with their facts, and places it does not look into."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.builtin.calling import Answer, ask, ask_alone, knowing
from tests.upstream.certificates import Issued, ca_file, issue, private_authority, server_side
from tests.upstream.loopback import raw, serving, silence
from webapp.builtin import BUILTINS, Context
from webapp.builtin.network.certificate_facts import read
from webapp.upstream.egress import Allowance, Egress

HOST = "mail.example"


class Elsewhere(Egress):
    """A network in which the well-known ports are somewhere else, as a test may not use them."""

    def __init__(self, port: int, authorities: str | None = None) -> None:
        allowance = Allowance(HOST, port, "127.0.0.1/32")
        super().__init__([allowance], resolver=lambda _host, _port: ["127.0.0.1"], ca_file=authorities)
        self._port = port

    async def open_connection(self, host: str, port: int, **options: Any) -> Any:
        return await super().open_connection(host, self._port, **options)


def inspect(
    tls: ssl.SSLContext | None, *, authorities: str | None = None, seconds: float = 10.0, port: int = 993
) -> Answer:
    async def go() -> Answer:
        async with serving(silence if tls else raw(b"+OK ready\r\n"), tls, read_request=False) as server:
            context = Context(Elsewhere(server.port, authorities), seconds=seconds)
            return await ask("inspect_certificate", context, host=HOST, port=port)

    return asyncio.run(go())


def test_a_trusted_certificate(tmp_path: Path) -> None:
    issued = issue(HOST, private_authority())
    answer = inspect(server_side(tmp_path, issued), authorities=ca_file(tmp_path))
    assert answer.data["trusted"] is True
    assert answer.data["problems"] == []
    assert answer.data["names"] == [HOST]
    assert answer.data["covers_host"] is True
    assert answer.data["issuer"] == "CN=Authority of the office"
    assert answer.data["days_left"] == 29
    assert answer.data["tls_version"] == "TLSv1.3"
    assert answer.data["key"] == "elliptic curve secp256r1"
    assert answer.data["sha256"] == issued.certificate.fingerprint(hashes.SHA256()).hex()
    assert answer.text.startswith(f"The certificate of {HOST}:993 is trusted.")


def bad(name: str) -> Issued:
    match name:
        case "expired":
            return issue(HOST, private_authority(), days=(-30, -3))
        case "self-signed":
            return issue(HOST)
        case "another host name":
            return issue("other.example", private_authority())
        case _:
            return issue(HOST, issue("Nobody", authority=True))


@pytest.mark.parametrize("kind", ["expired", "self-signed", "another host name", "authority"])
def test_the_facts_of_a_bad_certificate_are_shown_with_the_reason(kind: str, tmp_path: Path) -> None:
    issued = bad(kind)
    answer = inspect(server_side(tmp_path, issued), authorities=ca_file(tmp_path))
    assert not answer.is_error
    assert answer.data["trusted"] is False
    assert kind in answer.data["problems"][0]
    assert answer.data["sha256"] == issued.certificate.fingerprint(hashes.SHA256()).hex()
    assert answer.data["covers_host"] is (kind != "another host name")
    assert answer.data["self_signed"] is (kind == "self-signed")
    assert (answer.data["days_left"] < 0) is (kind == "expired")


def test_the_end_of_a_certificate_is_announced(tmp_path: Path) -> None:
    issued = issue(HOST, private_authority(), days=(-80, 10))
    answer = inspect(server_side(tmp_path, issued), authorities=ca_file(tmp_path))
    assert answer.data["trusted"] is True
    assert answer.data["problems"] == ["It ends in 9 days: see that it is renewed."]


def test_an_old_version_of_tls_is_named(tmp_path: Path) -> None:
    tls = server_side(tmp_path, issue(HOST, private_authority()))
    tls.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        tls.minimum_version = ssl.TLSVersion.TLSv1
        tls.maximum_version = ssl.TLSVersion.TLSv1_1
    answer = inspect(tls, authorities=ca_file(tmp_path))
    assert answer.data["tls_version"] == "TLSv1.1"
    assert answer.data["trusted"] is False
    assert "The server only speaks TLSv1.1, which is no longer safe." in answer.data["problems"]


@pytest.mark.parametrize(
    ("name", "host", "covered"),
    [
        ("*.mail.example", "a.mail.example", True),
        ("*.mail.example", "mail.example", False),
        ("*.mail.example", "a.b.mail.example", False),
        ("MAIL.example", "mail.EXAMPLE", True),
    ],
)
def test_names_with_a_star_cover_one_label(name: str, host: str, covered: bool) -> None:
    assert read(issue(name).certificate.public_bytes(Encoding.DER), host).covers_host is covered


def test_a_port_without_tls_is_told() -> None:
    answer = inspect(None)
    assert answer.is_error
    assert HOST in answer.text
    assert "127.0.0.1" not in answer.text


def test_silence_is_told_in_time(tmp_path: Path) -> None:
    async def go() -> Answer:
        async with serving(silence, read_request=False) as server:
            context = Context(Elsewhere(server.port), seconds=0.5)
            return await ask("inspect_certificate", context, host=HOST)

    answer = asyncio.run(go())
    assert answer.is_error
    assert HOST in answer.text


@pytest.mark.parametrize(
    "host", ["office.example", "cloud.example", "missing.example", "127.0.0.1", "nas.lan"]
)
@pytest.mark.parametrize("port", [443, 636])
def test_whatever_is_not_public_gets_the_same_sentence(host: str, port: int) -> None:
    known = {"cloud.example": "169.254.169.254", "office.example": "10.1.2.3"}
    egress = knowing(known, ports=BUILTINS["network"].ports)
    answer = ask_alone("inspect_certificate", Context(egress), host=host, port=port)
    assert answer.is_error
    assert answer.text == (
        f"“{host}” can't be checked: there is no public server of that name, or it can't be looked up. "
        "Gatehouse looks at the public internet only."
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"host": HOST, "port": 22}, "“port” must be one of 443, 465, 636, 853, 993, 995, 8443."),
        ({"host": HOST, "port": "443"}, "“port” must be a whole number."),
        ({"port": 443}, "The argument “host” is missing."),
        ({"host": "https://mail.example/"}, "not a plain host name"),
        ({"host": "mail.example\r\nX: y"}, "not a plain host name"),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments: dict[str, Any], words: str) -> None:
    answer = ask_alone("inspect_certificate", Context(knowing({HOST: "8.8.8.8"})), **arguments)
    assert answer.is_error
    assert words in answer.text
