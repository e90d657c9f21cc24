"""Which addresses of other machines the platform may connect to on a user's behalf: public ones only."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable, Sequence

from neurocaas.errors import NotFound, Refused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
AnyNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
# A host and a port to the addresses and ports that stand behind them, numbers all.
Resolve = Callable[[str, int], Sequence[tuple[str, int]]]

# Written out after IANA's registries, since what `ipaddress` calls global differs between Python's releases.
_NOT_PUBLIC_V4 = tuple(
    ipaddress.IPv4Network(one)
    for one in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's own services, at a public address
        "169.254.0.0/16",  # the metadata services of most clouds among them
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
# Tunnels and protocol assignments, documentation, 6to4, documentation again.
_NOT_PUBLIC_V6 = tuple(ipaddress.IPv6Network(one) for one in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def allowed(address: Address, private: Iterable[AnyNetwork] = ()) -> bool:
    """Whether an address is public, or in one of the private networks that the site allows."""
    plain = _unwrapped(address)
    if any(plain in network for network in private):
        return True
    if isinstance(plain, ipaddress.IPv4Address):
        return not any(plain in network for network in _NOT_PUBLIC_V4)
    return plain in _PUBLIC_V6 and not any(plain in network for network in _NOT_PUBLIC_V6)


def checked(host: str, port: int, private: Iterable[AnyNetwork], resolve: Resolve) -> list[tuple[str, int]]:
    """The addresses behind a host, every one of them allowed. Raises Refused, or NotFound if there are none.

    One forbidden address among several refuses the host: whoever mixes them is up to something.
    """
    private = tuple(private)
    try:
        found = list(dict.fromkeys(resolve(host, port)))
    except (OSError, UnicodeError) as error:
        raise NotFound(f"There is no server called {host}; check the address.") from error
    if not found:
        raise NotFound(f"There is no server called {host}; check the address.")
    for number, _ in found:
        if not allowed(ipaddress.ip_address(number), private):
            raise Refused(
                f"{host} is at {number}, which is not a public address; only servers on the public internet are asked.",
                remedy="An operator can allow a network in site.json: fetching.allow_private.",
            )
    return found


def look_up(host: str, port: int) -> list[tuple[str, int]]:
    """What this machine's resolver says; it also knows every spelling of a number, such as 0x7f.1 and 2130706433."""
    return [(str(one[4][0]), int(one[4][1])) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _unwrapped(address: Address) -> Address:
    """The IPv4 address within an IPv6 address that stands for it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
