"""The address of a client behind proxies."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["UNIX", "UNKNOWN", "Network", "client_address", "parse_proxies"]

UNIX = "unix"
"""Stands for any peer that connects through a unix socket."""

UNKNOWN = "unknown"
"""Stands for all addresses that cannot be determined."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Bits of an IPv6 address that a provider gives to one customer (RFC 6177; RIPE-690).
CUSTOMER = 64


def parse_proxies(given: Any) -> tuple[Network | str, ...]:
    """
    Return the proxies that the configuration names.

    Args:
        given: A list of addresses or networks as text, such as ``10.0.0.0/8``, or ``unix``.

    Raises:
        ValueError: If it is anything else; the message says what it must be.
    """
    if isinstance(given, str):
        given = [given]
    wanted = 'a list of addresses and networks such as "10.0.0.0/8", or "unix"'
    if not isinstance(given, (list, tuple, set, frozenset)):
        raise ValueError(wanted)
    try:
        return tuple(each if each == UNIX else _network(each) for each in given)
    except (TypeError, ValueError):
        raise ValueError(wanted) from None


def client_address(environ: WSGIEnvironment, proxies: Sequence[Network | str]) -> str:
    """
    Return the address of a request's client, or ``unknown``.

    This is the peer's own address, unless the peer is a trusted proxy: then it is the last address
    in ``X-Forwarded-For`` that is not a trusted proxy's, since anybody can have written those
    before it. For an IPv6 address, the customer's network is returned.

    Args:
        environ: The request's WSGI environ.
        proxies: Which proxies are trusted.
    """
    peer = str(environ.get("REMOTE_ADDR", ""))
    forwarded = environ.get("HTTP_X_FORWARDED_FOR", "") if proxies else ""
    chain = [each.strip() for each in forwarded.split(",") if each.strip()]
    found = peer
    while _is_trusted(found, proxies) and chain:
        found = chain.pop()
    address = _address(found)
    if address is None:
        # A trusted proxy wrote nonsense, or nothing: one count for all such clients is better than
        # one for each lie, or none at all.
        return found if found == peer and peer else UNKNOWN
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, CUSTOMER), strict=False))
    return str(address)


def _is_trusted(text: str, proxies: Sequence[Network | str]) -> bool:
    address = _address(text)
    if address is None:
        # For a unix socket's peer, gunicorn gives no address; other servers give the socket's.
        return UNIX in proxies and (not text or text.startswith(("/", "unix:")))
    return any(not isinstance(each, str) and address in each for each in proxies)


def _address(text: str) -> _Address | None:
    # Some proxies add the port: 192.0.2.1:1234, [2001:db8::1]:1234.
    host = text
    if text.startswith("["):
        host = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        host = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _network(text: Any) -> Network:
    if not isinstance(text, str):
        raise TypeError
    network = ipaddress.ip_network(text, strict=False)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= 96:
        # The form in which addresses are compared.
        return ipaddress.ip_network((mapped, network.prefixlen - 96))
    return network
