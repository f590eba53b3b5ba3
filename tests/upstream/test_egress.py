"""Who may be reached: every answer, every spelling, and exactly what an exception opens."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.upstream.loopback import reply, serving
from webapp.errors import EgressDenied, Unreachable, UpstreamError
from webapp.upstream.egress import Allowance, Egress, Resolver, explain, private_offer, tls_context
from webapp.upstream.transport import GuardedBackend

PUBLIC = "93.184.216.34"
EVERYWHERE = "0.0.0.0/0, ::/0"

NEVER = """0.0.0.0 169.254.169.254 169.254.170.2 100.100.100.200 168.63.129.16 192.0.0.192 224.0.0.1
255.255.255.255 :: ::ffff:169.254.169.254 ::127.0.0.1 ::8.8.8.8 ::ffff:0:10.0.0.1 64:ff9b::7f00:1
64:ff9b::a9fe:a9fe 64:ff9b:1::a00:1 2002:7f00:1:: 2002:c0a8:101:: 2001:0:53aa:64c:0:0:80ff:fffe fe80::1
fd00:ec2::254 fd20:ce::254 ff02::1 4000::1
""".split()
PRIVATE = """127.0.0.1 10.0.0.1 172.16.9.9 192.168.1.1 100.64.0.1 198.18.0.1 192.88.99.1 ::1 ::ffff:127.0.0.1
fec0::1 fc00::1 fd12:3456::1 2001:db8::1 3fff::1 5f00::1 64:ff9b::808:808 2002:808:808::1""".split()

# Spellings of this machine, of metadata services, and of what no URL should hold.
LITERALS = """https://127.0.0.1/ https://[::1]/ https://[::ffff:127.0.0.1]/ https://[::FFFF:7F00:1]/
https://2130706433/ https://0x7f000001/ https://0X7F.1/ https://0177.0.0.1/ https://127.1/ https://127.0.0.1./
https://127.0.0.01/ https://0/ https://①②⑦.0.0.1/ https://１２７.０.０.１/ https://127。0。0。1/ https://%31%32%37.0.0.1/
https://169.254.169.254/latest/ https://[fe80::1%25eth0]/ https://[64:ff9b::a9fe:a9fe]/ https://[::]/
http://8.8.8.8/ https://8.8.8.8:22/ https://8.8.8.8:0/ https://user:pw@8.8.8.8/ https://user@8.8.8.8/ https:///x
https://a..b/ https://-%2e/ ftp://8.8.8.8/ file:///etc/passwd https://8.8.8.8:99999/""".split()

_touched: list[tuple[str, Any]] | None = None


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _touched is not None and event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        _touched.append((event, args[1] if event == "socket.connect" else args[0]))


sys.addaudithook(_audit)


@pytest.fixture
def touched() -> Iterator[list[tuple[str, Any]]]:
    """Every connection and look-up of this process, as the interpreter itself reports them."""
    global _touched
    _touched = []
    yield _touched
    _touched = None


def get(egress: Egress, url: str, **options: Any) -> httpx2.Response:
    async def go() -> httpx2.Response:
        async with egress.http() as client:
            return await client.get(url, **options)

    return asyncio.run(go())


def refusal(egress: Egress, url: str) -> UpstreamError:
    try:
        get(egress, url)
    except (UpstreamError, httpx2.HTTPError, httpx2.InvalidURL) as error:
        return explain(error, url)
    raise AssertionError(f"{url} was fetched")


def denied(egress: Egress, url: str) -> EgressDenied:
    error = refusal(egress, url)
    assert isinstance(error, EgressDenied), error
    return error


def at(port: int, host: str = "erp.lan", network: str = "127.0.0.0/8", cleartext: bool = True) -> Allowance:
    return Allowance(host, port, network, cleartext)


def to_loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def always(*answers: str) -> Resolver:
    return lambda host, port: list(answers)


# Answers of the name server


@pytest.mark.parametrize("address", NEVER + PRIVATE)
def test_one_bad_answer_refuses_the_name_before_any_socket_opens(
    address: str, touched: list[tuple[str, Any]]
) -> None:
    error = denied(Egress(resolver=always(PUBLIC, address)), "https://evil.example/mcp")
    assert error.kind == ("never" if address in NEVER else "private")
    assert (error.host, error.port) == ("evil.example", 443)
    answer = ipaddress.ip_address(address)
    assert error.address == str(getattr(answer, "ipv4_mapped", None) or answer)
    assert error.host in str(error) and error.address in str(error)
    assert error.next_step
    assert touched == []


@pytest.mark.parametrize("address", NEVER)
def test_no_exception_opens_what_is_never_a_server(address: str, touched: list[tuple[str, Any]]) -> None:
    egress = Egress([Allowance("evil.example", 443, EVERYWHERE, True)], resolver=always(address))
    error = denied(egress, "https://evil.example/mcp")
    assert error.kind == "never"
    assert private_offer(error, cleartext=False) is None
    assert touched == []


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "100.128.0.1", "2001:4860:4860::8888", "2606:4700::1111"]
)
def test_public_addresses_pass(address: str) -> None:
    egress = Egress(resolver=always(address))
    assert asyncio.run(egress.addresses("vendor.example", 443)) == [address]


def test_the_message_names_host_address_and_reason_and_the_agent_hears_none_of_it() -> None:
    error = denied(Egress(resolver=always("192.168.10.5")), "https://psa.lan/mcp")
    assert str(error) == "psa.lan points to 192.168.10.5, an address in your own network."
    assert (
        error.next_step == "If this is a server in your own network, an admin can allow exactly this address."
    )
    assert "psa" not in error.for_agent and "192" not in error.for_agent


def test_a_name_that_moves_is_refused_at_the_next_connection() -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"], ["10.0.0.1"]])

    async def go() -> tuple[str, int]:
        async with serving() as server:
            egress = Egress([at(server.port)], resolver=lambda h, p: next(answers))
            url = f"http://erp.lan:{server.port}/"
            async with egress.http() as client:
                text = (await client.get(url)).text
            for _ in range(2):
                async with egress.http() as client:
                    with pytest.raises(EgressDenied):
                        await client.get(url)
            return text, server.connections

    assert asyncio.run(go()) == ("ok", 1)


def test_a_connection_goes_to_the_checked_answer_of_one_look_up(touched: list[tuple[str, Any]]) -> None:
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    async def go() -> int:
        async with serving() as server:
            egress = Egress([at(server.port)], resolver=resolver)
            async with egress.http() as client:
                for _ in range(3):
                    assert (await client.get(f"http://erp.lan:{server.port}/")).text == "ok"
            return server.port

    port = asyncio.run(go())
    assert asked == ["erp.lan"]
    # Nobody but our resolver was asked, and the socket got a number, so the pool really uses our backend.
    assert touched == [("socket.connect", ("127.0.0.1", port))]


def test_the_next_address_is_tried_when_the_first_does_not_answer() -> None:
    async def go() -> str:
        async with serving() as server:
            egress = Egress([at(server.port)], resolver=always("127.0.0.2", "127.0.0.1"))
            async with egress.http() as client:
                return (await client.get(f"http://erp.lan:{server.port}/")).text

    assert asyncio.run(go()) == "ok"


def test_a_name_server_that_hangs_is_given_up_in_time() -> None:
    release = threading.Event()

    def resolver(host: str, port: int) -> list[str]:
        release.wait(60)
        return [PUBLIC]

    try:
        with pytest.raises(Unreachable) as caught:
            asyncio.run(Egress(resolver=resolver).addresses("slow.example", 443, timeout=0.05))
    finally:
        release.set()
    assert (caught.value.kind, caught.value.sent) == ("dns", False)
    assert "slow.example" in str(caught.value)


def test_a_name_that_hangs_keeps_no_other_name_waiting() -> None:
    """However many ask for it."""
    release, asked = threading.Event(), []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        if host == "slow.example":
            release.wait(60)
        return [PUBLIC]

    async def go() -> list[str]:
        egress = Egress(resolver=resolver)
        many = [asyncio.create_task(egress.addresses("slow.example", 443, timeout=60)) for _ in range(100)]
        quick = await egress.addresses("quick.example", 443)
        release.set()
        assert await asyncio.gather(*many) == [[PUBLIC]] * 100
        return quick

    assert asyncio.run(go()) == [PUBLIC]
    assert asked.count("slow.example") == 1


@pytest.mark.parametrize("answers", [[], ["not an address"]])
def test_an_answer_without_addresses_is_a_name_problem(answers: list[str]) -> None:
    error = refusal(Egress(resolver=always(*answers)), "https://empty.example/")
    assert isinstance(error, Unreachable) and error.kind == "dns"


def test_a_name_that_does_not_exist_is_a_name_problem() -> None:
    def resolver(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    error = refusal(Egress(resolver=resolver), "https://typo.example/")
    assert isinstance(error, Unreachable) and (error.kind, error.sent) == ("dns", False)
    assert str(error) == "There is no server called typo.example."


# Addresses written into the URL


@pytest.mark.parametrize("url", LITERALS)
def test_disguised_and_forbidden_urls_are_refused_without_look_up_or_socket(
    url: str, touched: list[tuple[str, Any]]
) -> None:
    error = denied(Egress(), url)
    assert error.kind in ("private", "never", "scheme", "port", "url")
    assert "pw" not in str(error)
    with pytest.raises(EgressDenied):
        Egress().check_url(url)
    assert touched == []


@pytest.mark.parametrize("url", ["https://localhost/", "https://LOCALHOST./", "https://LocalHost/"])
def test_this_machine_by_name_is_private(url: str) -> None:
    error = denied(Egress(), url)
    assert (error.kind, error.host) == ("private", "localhost")
    assert "this machine itself" in str(error)


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "1.2.3.4.5", "0", "a b", ""]
)
def test_disguised_hosts_are_refused_for_plain_connections_too(
    host: str, touched: list[tuple[str, Any]]
) -> None:
    with pytest.raises(EgressDenied) as caught:
        asyncio.run(Egress().open_connection(host, 443))
    assert caught.value.kind == "url"
    assert touched == []


def test_a_user_name_in_the_address_is_not_repeated() -> None:
    error = denied(Egress(), "https://admin:hunter2@psa.example/")
    assert error.kind == "url"
    assert "hunter2" not in str(error) + error.next_step and "admin" not in str(error)


def test_an_international_name_is_looked_up_in_its_ascii_form() -> None:
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["10.0.0.1"]

    denied(Egress(resolver=resolver), "https://MÜNCHEN.example/")
    assert asked == ["xn--mnchen-3ya.example"]


# Exceptions


def test_an_exception_opens_exactly_its_host_port_and_network() -> None:
    async def go() -> None:
        async with serving() as server, serving() as other:
            egress = Egress([at(server.port, network="127.0.0.0/24")], resolver=to_loopback)
            async with egress.http() as client:
                assert (await client.get(f"http://erp.lan:{server.port}/")).text == "ok"
                for url in (
                    f"http://other.lan:{server.port}/",  # same address, other name
                    f"http://127.0.0.1:{server.port}/",  # same address, no name
                    f"http://x.erp.lan:{server.port}/",
                    f"http://erp.lan:{other.port}/",  # same name, other port
                    "http://erp.lan/",
                    "https://erp.lan/",
                ):
                    with pytest.raises(EgressDenied):
                        await client.get(url)
            assert other.connections == 0

    asyncio.run(go())


def test_an_exception_does_not_follow_the_name_out_of_its_network() -> None:
    for address in ("127.0.1.1", "10.0.0.1", "8.8.8.8"):
        egress = Egress([at(8443, network="127.0.0.0/24")], resolver=always(address))
        denied(egress, "https://erp.lan:8443/")
        denied(egress, "http://erp.lan:8443/")


def test_one_server_s_exception_is_nothing_to_another_server() -> None:
    async def go() -> None:
        async with serving() as internal:
            Egress([at(internal.port)], resolver=to_loopback)
            public = Egress(resolver=to_loopback)
            async with public.http() as client:
                for url in (
                    f"https://erp.lan:{internal.port}/",
                    f"http://erp.lan:{internal.port}/",
                    "https://erp.lan/",
                ):
                    with pytest.raises(EgressDenied):
                        await client.get(url)
            assert internal.connections == 0

    asyncio.run(go())


def test_http_needs_an_exception_that_says_so(touched: list[tuple[str, Any]]) -> None:
    egress = Egress([at(8080, cleartext=False)], resolver=to_loopback)
    error = denied(egress, "http://erp.lan:8080/")
    assert error.kind == "scheme"
    assert "can be read on the way" in str(error)
    assert denied(Egress(), "http://vendor.example/").kind == "scheme"
    assert denied(Egress(ports=frozenset({80, 443})), "http://vendor.example/").kind == "scheme"
    assert touched == []


def test_other_ports_need_an_exception_and_a_public_server_can_get_one() -> None:
    egress = Egress(resolver=always("93.184.216.34", "2606:2800:220:1::1"))
    with pytest.raises(EgressDenied) as caught:
        asyncio.run(egress.addresses("vendor.example", 8443))
    assert caught.value.kind == "port"
    offer = private_offer(caught.value, cleartext=False)
    assert offer == Allowance("vendor.example", 8443, "93.184.216.0/24, 2606:2800:220:1::/64", False)
    assert private_offer(caught.value, cleartext=True) is None
    allowed = Egress([offer], resolver=always("93.184.216.34"))
    assert asyncio.run(allowed.addresses("vendor.example", 8443)) == ["93.184.216.34"]
    moved = Egress([offer], resolver=always("93.184.217.34"))
    with pytest.raises(EgressDenied):
        asyncio.run(moved.addresses("vendor.example", 8443))


@pytest.mark.parametrize("spelling", ["ERP.lan", "erp.lan."])
def test_an_exception_holds_for_every_spelling_of_its_host(spelling: str) -> None:
    async def go() -> str:
        async with serving() as server:
            egress = Egress([at(server.port, host="Erp.LAN")], resolver=to_loopback)
            async with egress.http() as client:
                return (await client.get(f"http://{spelling}:{server.port}/")).text

    assert asyncio.run(go()) == "ok"


@pytest.mark.parametrize(
    ("answers", "network"),
    [
        (["192.168.10.5"], "192.168.10.0/24"),
        (["10.1.2.3"], "10.1.2.0/24"),
        (["fd12:3456::7"], "fd12:3456::/64"),
        (["127.0.0.1"], "127.0.0.1/32"),
        (["::1", "127.0.0.1"], "::1/128, 127.0.0.1/32"),
        (["::ffff:192.168.10.5"], "192.168.10.0/24"),
        ([PUBLIC, "192.168.10.5", "fd12::1"], "192.168.10.0/24, fd12::/64"),
    ],
)
def test_the_offer_is_the_smallest_sensible_network_and_opens_the_server(
    answers: list[str], network: str
) -> None:
    def resolver(host: str, port: int) -> list[str]:
        return answers

    with pytest.raises(EgressDenied) as caught:
        asyncio.run(Egress(resolver=resolver).addresses("psa.lan", 443))
    offer = private_offer(caught.value, cleartext=True)
    assert offer == Allowance("psa.lan", 443, network, True)
    assert len(asyncio.run(Egress([offer], resolver=resolver).addresses("psa.lan", 443))) == len(answers)


def test_the_offer_comes_first_where_scheme_or_port_would_be_refused_too() -> None:
    error = denied(Egress(), "http://192.168.10.5:8080/mcp")
    assert error.kind == "private"
    assert private_offer(error, cleartext=True) == Allowance("192.168.10.5", 8080, "192.168.10.0/24", True)


@pytest.mark.parametrize("url", ["http://8.8.8.8/", "https://user@8.8.8.8/", "https://169.254.169.254/"])
def test_other_refusals_have_no_offer(url: str) -> None:
    assert private_offer(denied(Egress(), url), cleartext=True) is None


# Redirects


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://other.lan:{port}/x",
        "https://10.0.0.1/",
        "//127.0.0.1/",
    ],
)
def test_redirects_are_not_followed_and_one_that_is_meets_the_guard(target: str) -> None:
    async def go() -> None:
        async with serving() as other:
            location = target.format(port=other.port)
            async with serving(reply(b"", "307 Temporary Redirect", f"Location: {location}")) as server:
                egress = Egress([at(server.port)], resolver=to_loopback)
                url = f"http://erp.lan:{server.port}/"
                async with egress.http() as client:
                    assert (await client.get(url)).status_code == 307
                    with pytest.raises(EgressDenied):
                        await client.get(url, follow_redirects=True)
                assert len(server.heads) == 2
            assert other.connections == 0

    asyncio.run(go())


# Other ways out


def test_unix_sockets_are_refused(touched: list[tuple[str, Any]]) -> None:
    with pytest.raises(EgressDenied):
        asyncio.run(GuardedBackend(Egress()).connect_unix_socket("/run/docker.sock"))
    assert touched == []


def test_a_plain_connection_is_guarded_and_reaches_an_allowed_server() -> None:
    async def go() -> bytes:
        async with serving() as server:
            egress = Egress([at(server.port)], resolver=to_loopback)
            with pytest.raises(EgressDenied):
                await egress.open_connection("other.lan", server.port)
            reader, writer = await egress.open_connection("erp.lan", server.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: erp.lan\r\n\r\n")
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()
            return line

    assert asyncio.run(go()) == b"HTTP/1.1 200 OK\r\n"


def test_all_guards_of_a_process_share_one_tls_context() -> None:
    assert tls_context() is tls_context()


# Other people's tables. What they refuse, we refuse.


def test_every_range_of_microsoft_antissrf_is_refused() -> None:
    ranges = pytest.importorskip("AntiSSRF.ipaddress_ranges", reason="needs microsoft-antissrf")
    for cidr in ranges.IPAddressRanges.recommended_latest:
        network = ipaddress.ip_network(cidr)
        for address in (network[0], network[-1], network[network.num_addresses // 2]):
            with pytest.raises(EgressDenied):
                asyncio.run(Egress(resolver=always(str(address))).addresses("x.example", 443))


def test_everything_ssrfguard_refuses_is_refused() -> None:
    ssrfguard = pytest.importorskip("ssrfguard", reason="needs ssrfguard")
    dice, policy = random.Random(7), ssrfguard.Policy()

    async def passes(address: str) -> bool:
        try:
            return bool(await Egress(resolver=always(address)).addresses("x.example", 443))
        except EgressDenied:
            return False

    async def go() -> list[str]:
        networks = [ipaddress.ip_network(str(block.network)) for block in ssrfguard._registry.TABLE]
        picked = [network[dice.randrange(network.num_addresses)] for network in networks for _ in range(40)]
        return [str(a) for a in picked if not policy.permits_address(a) and await passes(str(a))]

    assert asyncio.run(go()) == []
