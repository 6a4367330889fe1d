"""Where webhooks may go: to servers outside, never to what only this machine or its network can reach.

Whoever may add an endpoint chooses an address that our workers call, so it could be one that the chooser cannot reach but
we can: the database, another team's service, the cloud's metadata. An address is therefore examined as it will be used, after
every name is looked up, and the caller connects to exactly what was examined.
"""

from __future__ import annotations

import ipaddress
import queue
import re
import socket
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

MAX_URL = 2000
_PORTS = {"https": 443, "http": 80}
_UNFIT = re.compile(r"[^\x21-\x7e]|\\")  # urlsplit drops some of these in silence
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\Z")

# IPv6 that the internet routes; every other block is special, and there will be more of them.
_UNICAST = ipaddress.ip_network("2000::/3")
# What Python's own tables count among the internet's, or do so in some versions: IANA's special-purpose registries, and
# Azure's platform, which answers from inside at a public number.
_SPECIAL = [
    ipaddress.ip_network(block)
    for block in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "2001::/23", "2001:db8::/32", "3fff::/20")
]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Refused(Exception):
    """Webhooks do not go there. The message says why and what to give instead."""


@dataclass(frozen=True)
class Target:
    """An address in its parts. path: with the query, as it stands in the request."""

    tls: bool
    host: str
    port: int
    path: str


@dataclass(frozen=True)
class Socket:
    """What a connection is made to: the family, and the numbers that were examined."""

    family: int
    address: tuple[Any, ...]


def parse(url: str) -> Target:
    """Return an endpoint's address in its parts; nothing is looked up.

    Raises Refused for what is no address, for plain http, and for numbers that lead inside, unless the settings allow them.
    """
    if len(url) > MAX_URL or _UNFIT.search(url):
        raise Refused(
            f"An address has at most {MAX_URL} characters of ASCII without spaces; percent-encode others, and give names in punycode."
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Refused(f"This is no address of a server: {error}.") from None
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in _PORTS or not host:
        raise Refused("Give an address such as https://hooks.example.org/countersign.")
    if parts.scheme == "http" and not settings.WEBHOOKS_ALLOW_PRIVATE:
        raise Refused("Give an https address: over plain http everybody on the way could read the events.")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise Refused("Leave out names, passwords and fragments; the signature proves who sends.")
    if port == 0:
        raise Refused("A server does not listen on port 0.")
    if not _NAME.match(host) and not _is_ipv6(host):
        raise Refused(f"{host} is no name of a server.")
    if not settings.WEBHOOKS_ALLOW_PRIVATE:
        if host == "localhost" or host.endswith(".localhost"):
            raise Refused(f"{host} is this machine itself; webhooks go to servers outside.")
        for number in _numeric(host):
            _require_outside(host, number)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme == "https", host, port or _PORTS[parts.scheme], path)


def resolve(target: Target, *, seconds: float) -> list[Socket]:
    """Look the host up once and return what may be connected to, in the resolver's order; never empty.

    If any of its addresses lies inside, all are refused: a name that mixes them is out to be connected to the wrong one.
    Raises Refused, or OSError if the name leads nowhere or looking it up takes longer than ``seconds``.
    """
    found = list(dict.fromkeys(Socket(family, address) for family, _, _, _, address in _looked_up(target, seconds)))
    if not found:
        raise OSError(f"{target.host} has no address")
    if not settings.WEBHOOKS_ALLOW_PRIVATE:
        for one in found:
            _require_outside(target.host, str(one.address[0]))
    return found


def why_inside(number: str) -> str:
    """Return what kind of inner or special address this is, such as ``loopback``, or nothing if it is one of the internet's."""
    address = ipaddress.ip_address(number.partition("%")[0])
    # The IPv4 address within would be reached in the end, past a look at the outer one.
    if isinstance(address, ipaddress.IPv6Address) and (
        address.ipv4_mapped or address.sixtofour or address.teredo or address in _NAT64
    ):
        return "IPv4-in-IPv6"
    for kind in ("unspecified", "loopback", "link_local", "multicast", "reserved", "private"):
        if getattr(address, f"is_{kind}"):
            return kind.replace("_", "-")
    routed = address.version == 4 or address in _UNICAST
    return "" if address.is_global and routed and not any(address in block for block in _SPECIAL) else "special"


def _require_outside(host: str, number: str) -> None:
    # Which number it was is not told: names that are known inside alone could be looked up with it.
    if kind := why_inside(number):
        raise Refused(
            f"{host} leads to {'an' if kind[0] in 'aeiouI' else 'a'} {kind} address; webhooks go to servers on the internet. "
            "An operator can allow others with WEBHOOKS_ALLOW_PRIVATE."
        )


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _numeric(host: str) -> list[str]:
    """Return the address that a host made of numbers stands for, in any of the ways the C library reads: 127.1, 0x7f000001."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return []
    return [str(address[0]) for _, _, _, _, address in found]


def _looked_up(target: Target, seconds: float) -> list[Any]:
    # The C library's look-up takes no time limit, so it gets a thread that may be left behind.
    answers: queue.Queue[list[Any] | Exception] = queue.Queue(1)

    def look() -> None:
        try:
            answers.put(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=look, daemon=True, name=f"look up {target.host}").start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise OSError(f"{target.host} was not found within {seconds:.0f} s") from None
    if isinstance(answer, Exception):
        raise OSError(f"{target.host} was not found: {answer}") from None
    return answer
