"""Which addresses of the network a request for somebody else may reach: public ones, and what the operator allows.

Names are resolved here and the socket is then opened to the address that was judged, never to the name again: a name
that answers differently the second time gains nothing.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from shared.errors import BadInput, DeadlineExceeded, Unreachable, UrlRefused

Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Sequence[str]]
"""Host and port to IP addresses as text. Raises OSError."""

CONNECT_SECONDS = 10.0
"""What one address of several gets to answer."""

CLOUD_HOSTS = tuple(
    ip_network(address)
    for address in (
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure, a public address
        "169.254.169.254",  # AWS, Azure, Google, Oracle and most others
        "169.254.170.2",  # AWS, containers
        "169.254.170.23",  # AWS, Kubernetes
        "192.0.0.192",  # Oracle, classic
        "fd00:ec2::23",  # AWS, Kubernetes
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google
    )
)
"""Where clouds tell a machine its secrets. No setting opens these."""

# IANA's registries of special-purpose addresses, as of 2026; ipaddress.is_global differs between Python's versions
SPECIAL_V4 = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
PUBLIC_V6 = ip_network("2000::/3")
SPECIAL_V6 = tuple(
    ip_network(network)
    for network in (
        "2001::/23",  # Teredo, ORCHID, benchmarking
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address inside, reached through whoever relays
        "3fff::/20",
    )
)
NAT64 = ip_network("64:ff9b::/96")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is one of the open internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in SPECIAL_V4)
    return address in PUBLIC_V6 and not any(address in network for network in SPECIAL_V6)


def networks(text: str) -> tuple[Network, ...]:
    """Networks as a setting names them: `10.0.0.0/8, fd12::/16`. Raises BadInput (`bad_setting`)."""
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise BadInput(f"{text!r} is no list of networks such as 10.0.0.0/8: {error}", code="bad_setting") from error


def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses that this machine's resolver knows for a host."""
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@dataclass(frozen=True)
class Guard:
    """Judges addresses: public ones pass, and those in `allowed`; where clouds keep secrets never."""

    allowed: tuple[Network, ...] = ()
    resolver: Resolver = resolve

    def passes(self, address: str) -> bool:
        """Whether a connection to this IP address may be opened."""
        judged = _unwrapped(ip_address(address))
        if any(judged in network for network in CLOUD_HOSTS):
            return False
        return is_public(judged) or any(judged in network for network in self.allowed)

    def check_literal(self, host: str) -> None:
        """Judge a host that is an IP address; a name is judged when it is resolved. Raises UrlRefused."""
        try:
            address = str(ip_address(host))
        except ValueError:
            return
        if not self.passes(address):
            raise _refused(host)

    def addresses(self, host: str, port: int, *, until: float) -> tuple[str, ...]:
        """The IP addresses of a host, each of them judged; connect to these, not to the name.

        `until`: monotonic time by which the name must be resolved.

        Raises:
            UrlRefused: one of them must not be reached (`address_refused`). Which one is not told to the outside.
            Unreachable: nobody knows the host (`unknown_host`).
            DeadlineExceeded: the resolver did not answer.
        """
        found = tuple(dict.fromkeys(self._resolved(host, port, until)))
        if not found:
            raise Unreachable(f"the host {host} has no address", code="unknown_host")
        if not all(map(self.passes, found)):
            raise _refused(host)
        return found

    def connect(self, host: str, port: int, *, until: float) -> socket.socket:
        """A TCP connection to a judged address of the host. Raises as `addresses`, and Unreachable."""
        reason: OSError | None = None
        for address in self.addresses(host, port, until=until):
            seconds = min(until - time.monotonic(), CONNECT_SECONDS)
            if seconds <= 0:
                raise DeadlineExceeded(f"{host} was not reached in time")
            try:
                return socket.create_connection((address, port), seconds)
            except OSError as error:
                reason = error
        raise Unreachable(f"{host} cannot be reached: {reason}") from reason

    def _resolved(self, host: str, port: int, until: float) -> Sequence[str]:
        """What the resolver says. It has no deadline of its own, so a thread asks it and may be left behind."""
        answers: queue.SimpleQueue[Sequence[str] | Exception] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self.resolver(host, port))
            except Exception as error:  # noqa: BLE001  (raised again by the waiting thread)
                answers.put(error)

        threading.Thread(target=ask, name="resolve", daemon=True).start()
        try:
            answer = answers.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise DeadlineExceeded(f"the address of {host} was not found in time") from None
        if isinstance(answer, (OSError, UnicodeError)):
            raise Unreachable(f"the host {host} is not known", code="unknown_host") from answer
        if isinstance(answer, Exception):
            raise answer
        return answer


def _refused(host: str) -> UrlRefused:
    return UrlRefused(f"the host {host} is not on the public internet", code="address_refused")


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that the kernel or a NAT64 gateway would make of an IPv6 one; else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
