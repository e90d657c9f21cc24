"""Nothing but the public internet is asked, whatever an address looks like."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocaas.errors import NotFound, Refused
from neurocaas.server.fetching.addresses import allowed, checked, look_up

V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6)


@pytest.mark.parametrize(
    "number",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200", "168.63.129.16"),
        *("0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1", "192.0.0.170"),
        *("::", "::1", "::7f00:1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1"),
        *("::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::10.0.0.1", "64:ff9b:1::1"),
        *("2001:db8::1", "2001::1", "2002:7f00:1::", "2002:a00:1::1", "3fff::1", "5f00::1", "100::1"),
    ],
)
def test_an_address_that_is_not_public_is_not_asked(number: str) -> None:
    assert not allowed(ipaddress.ip_address(number))
    with pytest.raises(Refused, match="not a public address"):
        checked("data.test", 443, (), lambda host, port: [(number, port)])


@pytest.mark.parametrize("number", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_a_public_address_is_asked(number: str) -> None:
    assert allowed(ipaddress.ip_address(number))


@given(V4 | V6)
def test_nothing_that_python_knows_as_special_is_allowed(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    mapped = getattr(address, "ipv4_mapped", None)
    special = (mapped or address).is_private or address.is_multicast or address.is_loopback or address.is_link_local
    if allowed(address):
        assert not special
        assert address.is_global or mapped is not None or address in ipaddress.ip_network("64:ff9b::/96")


@given(V4)
def test_an_ipv6_spelling_of_an_ipv4_address_is_judged_as_that_address(address: ipaddress.IPv4Address) -> None:
    mapped = ipaddress.IPv6Address(f"::ffff:{address}")
    nat64 = ipaddress.IPv6Address(f"64:ff9b::{address}")
    assert allowed(mapped) == allowed(nat64) == allowed(address)


@given(V4)
def test_every_ipv4_address_without_a_public_meaning_hides_in_no_other_ipv6_range(
    address: ipaddress.IPv4Address,
) -> None:
    assert not allowed(ipaddress.IPv6Address(f"::{address}"))
    assert not allowed(ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80)))


@given(st.integers(0, 2**24 - 1))
def test_a_network_that_the_site_allows_is_asked_in_every_spelling(rest: int) -> None:
    network = (ipaddress.ip_network("10.0.0.0/8"),)
    address = ipaddress.IPv4Address((10 << 24) | rest)
    assert allowed(address, network)
    assert allowed(ipaddress.IPv6Address(f"::ffff:{address}"), network)
    assert not allowed(ipaddress.ip_address("127.0.0.1"), network)


def test_one_private_address_among_public_ones_refuses_the_host() -> None:
    with pytest.raises(Refused, match=r"10\.0\.0\.1"):
        checked("data.test", 443, (), lambda host, port: [("8.8.8.8", port), ("10.0.0.1", port)])


@pytest.mark.parametrize("spelling", ["2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.1", "localhost"])
def test_odd_spellings_of_the_loopback_are_the_loopback(spelling: str) -> None:
    with pytest.raises(Refused, match="not a public address"):
        checked(spelling, 443, (), look_up)


def test_a_name_without_addresses_is_not_found() -> None:
    with pytest.raises(NotFound, match="no server called"):
        checked("data.test", 443, (), lambda host, port: [])
    with pytest.raises(NotFound, match="no server called"):
        checked("a" * 70 + ".test", 443, (), look_up)
