"""Three Consul servers that elect their leader, each with an address of its own on loopback."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests.support.consul_agent import consul_binary, serves
from tests.support.free_ports import free_ports
from tests.support.waiting import eventually_sync
from tfleet.contract.address import Address

_HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
_START_S = 60.0


@dataclass
class Server:
    """One of them, and where its HTTP API is. Its state is on disk, so that it can be killed and started."""

    host: str
    http: Address
    rpc: int
    serf: int
    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait(30)

    def lists(self, service: str) -> set[str]:
        """The ids that it lists as passing; nobody while it does not answer."""
        url = f"{self.http.url}/v1/health/service/{service}?passing&stale"
        try:
            return {entry["Service"]["ID"] for entry in requests.get(url, timeout=5).json()}
        except (requests.RequestException, ValueError):
            return set()


class ThreeConsuls:
    """The servers. To be started and killed one by one."""

    def __init__(self, folder: Path) -> None:
        self._binary = consul_binary()
        self.servers: list[Server] = []
        for host in _HOSTS:
            http, rpc, serf = free_ports(3, host=host)
            self.servers.append(Server(host, Address(host, http), rpc, serf, folder / host))

    def start(self, *servers: Server) -> None:
        """Start them, with the state that they had. They find each other by themselves."""
        for server in servers:
            server.folder.mkdir(exist_ok=True)
            with (server.folder / "output").open("ab") as output:
                server.process = subprocess.Popen(
                    [
                        *(self._binary, "agent", "-server", "-bootstrap-expect=3", f"-node={server.host}"),
                        *(f"-bind={server.host}", f"-client={server.host}", f"-data-dir={server.folder}"),
                        *(f"-http-port={server.http.port}", f"-server-port={server.rpc}"),
                        *(f"-serf-lan-port={server.serf}", "-serf-wan-port=-1", "-dns-port=-1"),
                        *(f"-retry-join={other.host}:{other.serf}" for other in self.servers),
                        *("-retry-interval=1s", "-log-level=warn", "-hcl", "disable_update_check = true"),
                        *("-hcl", "performance { raft_multiplier = 1 }"),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )

    def leader(self, asked: Server) -> Server | None:
        """Whom this one takes for the leader."""
        try:
            said = requests.get(f"{asked.http.url}/v1/status/leader", timeout=5).json()
        except (requests.RequestException, ValueError):
            return None
        return next((one for one in self.servers if f"{one.host}:{one.rpc}" == said), None)

    def stop(self) -> None:
        for server in self.servers:
            if server.process is not None:
                server.kill()


@contextmanager
def three_consuls() -> Iterator[ThreeConsuls]:
    """Three servers that have a leader."""
    with tempfile.TemporaryDirectory(prefix="tfleet-consuls-") as folder:
        running = ThreeConsuls(Path(folder))
        try:
            running.start(*running.servers)
            for server in running.servers:
                eventually_sync(functools.partial(serves, server.http), timeout_s=_START_S)
            yield running
        finally:
            running.stop()
