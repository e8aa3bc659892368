"""Several hosts on one machine: network namespaces on a switch of their own, whose links can be cut. Takes root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PREFIX_BITS = 24
PREFIX = "rg"
FOLDER = Path("/run/netns")


@dataclass(frozen=True)
class Host:
    """A network namespace with one address."""

    name: str
    address: str
    switch: str
    port: str
    """The other end of its cable, at the switch."""

    def command(self, *argv: str | Path) -> list[str | Path]:
        """A command line that runs on this host."""
        return ["ip", "netns", "exec", self.name, *argv]

    @property
    def namespace(self) -> Path:
        """What setns(2) takes."""
        return FOLDER / self.name

    def cut(self) -> None:
        """Pull the cable: nothing comes in or out, and connections learn nothing of it."""
        _ip("-n", self.switch, "link", "set", self.port, "down")

    def heal(self) -> None:
        """Put it back."""
        _ip("-n", self.switch, "link", "set", self.port, "up")


@contextmanager
def hosts(names: Sequence[str]) -> Iterator[dict[str, Host]]:
    """Hosts that reach one another, and that this process reaches; gone with the block.

    Raises:
        OSError, CalledProcessError: that takes more rights, or ip(8).
    """
    _clear_leftovers()
    net = f"10.77.{os.getpid() % 250}"
    mark = f"{PREFIX}{os.getpid()}"
    switch = f"{mark}-switch"
    with ExitStack() as stack:
        _namespace(stack, switch)
        _ip("-n", switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", switch, "link", "set", "br0", "up")
        made = {}
        for number, name in enumerate(names, start=2):
            host = Host(f"{mark}-{name}", f"{net}.{number}", switch, f"p{number}")
            _namespace(stack, host.name)
            _ip("-n", switch, "link", "add", host.port, "type", "veth", "peer", "name", "eth0", "netns", host.name)
            _ip("-n", host.name, "address", "add", f"{host.address}/{PREFIX_BITS}", "dev", "eth0")
            _ip("-n", host.name, "link", "set", "eth0", "up")
            _plug(switch, host.port)
            made[name] = host
        here = f"{mark}-here"
        _ip("-n", switch, "link", "add", "p1", "type", "veth", "peer", "name", here, "netns", str(os.getpid()))
        _ip("address", "add", f"{net}.1/{PREFIX_BITS}", "dev", here)
        _ip("link", "set", here, "up")
        _plug(switch, "p1")
        yield made


def _clear_leftovers() -> None:
    """Take away the hosts of processes that were killed."""
    for path in FOLDER.glob(f"{PREFIX}*-*"):
        owner = path.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            _ip("netns", "delete", path.name, check=False)  # another process may be faster


def _namespace(stack: ExitStack, name: str) -> None:
    _ip("netns", "add", name)
    stack.callback(_ip, "netns", "delete", name)
    _ip("-n", name, "link", "set", "lo", "up")


def _plug(switch: str, port: str) -> None:
    _ip("-n", switch, "link", "set", port, "master", "br0")
    _ip("-n", switch, "link", "set", port, "up")


def _ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, timeout=30)
