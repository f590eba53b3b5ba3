"""calculate_subnet: both versions, the small networks where rules differ, and splitting."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builtin.calling import ask_alone


def facts(network: str, **arguments: Any) -> dict[str, Any]:
    answer = ask_alone("calculate_subnet", network=network, **arguments)
    assert not answer.is_error, answer.text
    return answer.data


def test_an_ordinary_network() -> None:
    assert facts("192.168.1.77/24") == {
        "network": "192.168.1.0/24",
        "version": 4,
        "network_address": "192.168.1.0",
        "prefix": 24,
        "netmask": "255.255.255.0",
        "wildcard_mask": "0.0.0.255",
        "broadcast_address": "192.168.1.255",
        "first_host": "192.168.1.1",
        "last_host": "192.168.1.254",
        "addresses": "256",
        "usable_hosts": "254",
        "kind": "private",
    }


@pytest.mark.parametrize("written", ["10.0.0.5 255.255.254.0", "10.0.0.5/255.255.254.0", " 10.0.1.9 / 23 "])
def test_ways_to_write_a_network(written: str) -> None:
    assert facts(written)["network"] == "10.0.0.0/23"


@pytest.mark.parametrize(
    ("network", "hosts", "first", "last"),
    [
        ("8.8.8.8/32", "1", "8.8.8.8", "8.8.8.8"),
        ("8.8.8.8", "1", "8.8.8.8", "8.8.8.8"),
        ("8.8.8.8/31", "2", "8.8.8.8", "8.8.8.9"),
        ("8.8.8.8/30", "2", "8.8.8.9", "8.8.8.10"),
        ("2606:4700::/127", "2", "2606:4700::", "2606:4700::1"),
        ("2606:4700::/64", "18446744073709551615", "2606:4700::1", "2606:4700::ffff:ffff:ffff:ffff"),
        ("0.0.0.0/0", "4294967294", "0.0.0.1", "255.255.255.254"),
    ],
)
def test_hosts(network: str, hosts: str, first: str, last: str) -> None:
    found = facts(network)
    assert (found["usable_hosts"], found["first_host"], found["last_host"]) == (hosts, first, last)


@pytest.mark.parametrize(
    ("network", "kind"),
    [
        ("8.8.8.0/24", "public"),
        ("2606:4700::/32", "public"),
        ("10.0.0.0/8", "private"),
        ("fd00::/48", "private"),
        ("224.0.0.0/8", "special"),
        ("0.0.0.0/0", "special"),
    ],
)
def test_kinds(network: str, kind: str) -> None:
    assert facts(network)["kind"] == kind


@pytest.mark.parametrize(
    ("inner", "inside"),
    [
        ("10.0.0.9", True),
        ("10.0.1.0", False),
        ("10.0.0.128/25", True),
        ("10.0.0.0/16", False),
        ("::1", False),
    ],
)
def test_what_a_network_contains(inner: str, inside: bool) -> None:
    assert facts("10.0.0.0/24", contains=inner)["contains"] is inside


def test_splitting() -> None:
    found = facts("10.0.0.0/24", split_prefix=26)
    assert found["subnets"] == ["10.0.0.0/26", "10.0.0.64/26", "10.0.0.128/26", "10.0.0.192/26"]
    assert found["subnet_count"] == "4"


def test_a_split_into_very_many_lists_the_first() -> None:
    found = facts("2001:db8::/32", split_prefix=128)
    assert found["subnet_count"] == str(2**96)
    assert len(found["subnets"]) == 256


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"network": "10.0.0.0/33"}, "“network” is not a network."),
        ({"network": "10.0.0.256"}, "“network” is not a network."),
        ({"network": "10.0.0.0/24/7"}, "“network” is not a network."),
        ({"network": "fe80::1%eth0/64"}, "“network” is not a network."),
        ({"network": "  "}, "“network” is not a network."),
        ({"network": "10.0.0.0/24", "contains": "here"}, "“contains” is not a network."),
        ({"network": "10.0.0.0/24", "split_prefix": 23}, "“split_prefix” must be from 24 to 32"),
        ({"network": "10.0.0.0/24", "split_prefix": 33}, "“split_prefix” must be from 24 to 32"),
        ({"network": "10.0.0.0/24", "split_prefix": 129}, "“split_prefix” must be 128 or less."),
        ({"network": "10.0.0.0/24", "split_prefix": 2.5}, "“split_prefix” must be a whole number."),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments: dict[str, Any], words: str) -> None:
    answer = ask_alone("calculate_subnet", **arguments)
    assert answer.is_error
    assert words in answer.text
