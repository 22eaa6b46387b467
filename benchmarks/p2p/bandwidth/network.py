"""A small network of network namespaces: nodes on one bridge, each at the end of a link that can be shaped.

- The bridge has a namespace of its own, and both ends of a link are made where they belong: nothing is seen
  of it in the machine's own network.
- Each namespace's name holds the process id of its maker. They are removed with all that runs in them at the
  end of the block, whatever ends it; what a killed run left behind is removed by the next one.
- A link is shaped at both its ends, so that each direction has the rate. Segments travel in bundles, which
  spares the processors; the shaper takes each for what it would be on a wire, headers and all, and so its
  counters are read and not the interface's.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from tests.support.environment import users_environment

_PREFIX: Final = "tfleet-bench"
_OURS: Final = re.compile(rf"^({_PREFIX}-(\d+)-\S+)", re.MULTILINE)
_HUB: Final = "hub"
_BURST: Final = "96kb"  # more than a bundle of segments: a smaller bucket would take them apart
_QUEUE: Final = "50ms"  # what waits longer than that for its turn is dropped
_COMMAND_S: Final = 20.0
_END_S: Final = 10.0


class CannotMakeError(Exception):
    """This machine or this user can't make such a network. The message gives the reason."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node with an address in the network. Each end of its link is a device in a namespace."""

    address: str
    namespace: str
    ends: tuple[tuple[str, str], tuple[str, str]]

    def passed_bytes(self) -> int:
        """The bytes that the shaped link has carried in both directions, headers included."""
        passed = 0
        for namespace, device in self.ends:
            (shaper,) = json.loads(_run("tc", "-n", namespace, "-json", "-s", "qdisc", "show", "dev", device))
            passed += int(shaper["bytes"])
        return passed

    @contextlib.contextmanager
    def running(self, command: Sequence[str], log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
        """A program that runs at the node inside the block."""
        process = subprocess.Popen(
            self.command(command), stdout=log, stderr=log, env=users_environment(), start_new_session=True
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def command(self, command: Sequence[str]) -> list[str]:
        """The same command, run at the node; it ends if its starter is killed."""
        leash = ("setpriv", "--pdeathsig", "KILL")
        return ["ip", "netns", "exec", self.namespace, *leash, *command]


class Network:
    """Nodes that reach each other by their addresses."""

    def __init__(self) -> None:
        self._nodes = 0
        self._hub = self._namespace(_HUB)
        _run("ip", "-n", self._hub, "link", "add", "bridge", "type", "bridge")
        _run("ip", "-n", self._hub, "link", "set", "bridge", "addrgenmode", "none", "up")

    def node(self, name: str, rate_mbit: float | None = None) -> Node:
        """Add a node behind a link of this rate in each direction, or behind an unlimited one."""
        self._nodes += 1
        namespace = self._namespace(name)
        node = Node(f"10.0.0.{self._nodes}", namespace, ((self._hub, name), (namespace, "eth0")))
        peer = ("peer", "name", "eth0", "netns", node.namespace)
        _run("ip", "-n", self._hub, "link", "add", name, "type", "veth", *peer)
        _run("ip", "-n", self._hub, "link", "set", name, "master", "bridge")
        _run("ip", "-n", node.namespace, "address", "add", f"{node.address}/24", "dev", "eth0")
        _run("ip", "-n", node.namespace, "link", "set", "lo", "up")
        for inside, device in node.ends:
            # No addresses of IPv6, whose announcements would be counted.
            _run("ip", "-n", inside, "link", "set", device, "addrgenmode", "none", "up")
            if rate_mbit is not None:
                shape = ("tbf", "rate", f"{rate_mbit:g}mbit", "burst", _BURST, "latency", _QUEUE)
                _run("tc", "-n", inside, "qdisc", "add", "dev", device, "root", *shape)
        return node

    @staticmethod
    def _namespace(name: str) -> str:
        namespace = f"{_PREFIX}-{os.getpid()}-{name}"
        _run("ip", "netns", "add", namespace)
        return namespace


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """A network that exists inside the block. Raises CannotMakeError."""
    missing = [program for program in ("ip", "tc", "setpriv") if shutil.which(program) is None]
    if missing:
        raise CannotMakeError(f"{' and '.join(missing)} not found (apt-get install iproute2 util-linux)")
    if os.geteuid() != 0:
        raise CannotMakeError("only root may make network namespaces")
    for namespace, maker in _namespaces():
        if not Path(f"/proc/{maker}").exists():
            _remove(namespace)
    try:
        yield Network()
    finally:
        for asks in (signal.SIGINT, signal.SIGTERM):  # also from the commands below, which inherit it
            signal.signal(asks, signal.SIG_IGN)
        for namespace, maker in _namespaces():
            if maker == os.getpid():
                _remove(namespace)


def _namespaces() -> list[tuple[str, int]]:
    """The namespaces of this benchmark, each with the id of the process that made it."""
    return [(name, int(maker)) for name, maker in _OURS.findall(_run("ip", "netns", "list"))]


def _remove(namespace: str) -> None:
    for process in _run("ip", "netns", "pids", namespace).split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(process), signal.SIGKILL)
    _run("ip", "netns", "delete", namespace)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_COMMAND_S)
    if done.returncode != 0:
        raise CannotMakeError(f"`{' '.join(command)}` says: {done.stderr.strip()}")
    return done.stdout
