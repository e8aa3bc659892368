"""Tests of the guard: which addresses may be reached, and that the judged address is the one that is reached."""

import socket
import threading
import time
from ipaddress import ip_network

import pytest

from shared.errors import BadInput, DeadlineExceeded, Unreachable, UrlRefused
from shared.guard import Guard, networks
from tests.support.hosts import LOOPBACK, host

PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "223.255.255.255", "2606:4700::1111"]
PRIVATE = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.255"),
    *("169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("192.0.0.1", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "100.100.100.200", "168.63.129.16"),
    *("::", "::1", "::127.0.0.1", "fe80::1", "fe80::1%2", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
    *(
        "64:ff9b:1::808:808",
        "2002:7f00:1::",
        "2002:808:808::",
        "2001::1",
        "2001:db8::1",
        "3fff::1",
        "100::1",
        "5f00::1",
    ),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_pass(address):
    """Addresses next to the special ranges, and ordinary ones, are reached."""
    assert Guard().passes(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_special_addresses_do_not_pass(address):
    """Private, local, shared, multicast, reserved, translated and cloud addresses are refused, in every spelling."""
    assert not Guard().passes(address)


def test_wrapped_public_addresses_pass():
    """On a network with IPv6 only, the internet is seen through NAT64: its public addresses stay reachable."""
    assert Guard().passes("64:ff9b::808:808")
    assert Guard().passes("::ffff:8.8.8.8")


def test_an_operator_allows_networks_but_never_cloud_secrets():
    """A network that is allowed passes, also wrapped; the metadata addresses inside of it do not."""
    guard = Guard(allowed=networks("10.0.0.0/8, 169.254.0.0/16,fd00::/8"))
    assert guard.passes("10.1.2.3")
    assert guard.passes("::ffff:10.1.2.3")
    assert guard.passes("169.254.1.1")
    assert not guard.passes("192.168.1.1")
    assert not guard.passes("169.254.169.254")
    assert not guard.passes("fd00:ec2::254")


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "localhost"])
def test_what_is_no_network_is_said(text):
    """A setting that cannot be read is refused in a sentence, not ignored."""
    with pytest.raises(BadInput, match="is no list of networks"):
        networks(text)


@pytest.mark.parametrize("name", ["localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "::ffff:7f00:1"])
def test_spellings_of_this_machine_are_refused(name):
    """Names and numbers that the system's resolver turns into this machine are refused by what they turn into."""
    with pytest.raises(UrlRefused) as caught:
        Guard().addresses(name, 80, until=time.monotonic() + 10)
    assert caught.value.code == "address_refused"
    assert "127.0.0.1" not in caught.value.message


def test_one_private_answer_among_public_ones_is_enough():
    """A host with a public and a private address is refused."""
    guard = Guard(resolver=lambda _host, _port: ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(UrlRefused):
        guard.addresses("mixed.test", 80, until=time.monotonic() + 10)


def test_the_connection_goes_to_the_judged_address():
    """A name is resolved once: the second answer of a rebinding resolver is never asked for."""
    asked = []

    def rebinding(name, _port):
        asked.append(name)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    with (
        host({}) as server,
        Guard(LOOPBACK[:1], rebinding).connect("rebind.test", server.port, until=time.monotonic() + 10) as connection,
    ):
        assert connection.getpeername()[0] == "127.0.0.1"
    assert asked == ["rebind.test"]


def test_a_rebound_name_is_judged_anew():
    """A name that was public at the first connection and is private at the second is refused at the second."""
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    guard = Guard((ip_network("127.0.0.1/32"),), lambda _host, _port: next(answers))
    with host({}) as server:
        guard.connect("rebind.test", server.port, until=time.monotonic() + 10).close()
        with pytest.raises(UrlRefused):
            guard.connect("rebind.test", server.port, until=time.monotonic() + 10)


def test_the_next_address_is_tried():
    """When a host's first address does not answer, its second does."""
    guard = Guard(LOOPBACK, lambda _host, _port: ["127.0.0.2", "127.0.0.1"])
    with host({}) as server, guard.connect("two.test", server.port, until=time.monotonic() + 10) as connection:
        assert connection.getpeername()[0] == "127.0.0.1"


def test_nobody_there_is_unreachable():
    """A port without a server ends in a sentence."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unreachable, match="cannot be reached"):
        Guard(LOOPBACK).connect("127.0.0.1", port, until=time.monotonic() + 10)


@pytest.mark.parametrize("name", ["no-such-host.invalid", "x" * 64 + ".test", "a..b"])
def test_an_unknown_host_is_said(name):
    """A name that nobody knows, or that is none, ends in a code of its own."""
    with pytest.raises(Unreachable) as caught:
        Guard().addresses(name, 80, until=time.monotonic() + 30)
    assert caught.value.code == "unknown_host"


def test_a_silent_resolver_is_not_waited_for():
    """The system's resolver has no deadline; the guard has."""
    release = threading.Event()
    guard = Guard(resolver=lambda _host, _port: release.wait(30) and [])
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        guard.addresses("slow.test", 80, until=began + 0.3)
    assert time.monotonic() - began < 20
    release.set()
