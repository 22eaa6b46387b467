"""What a fleet on one machine consists of: the command of each of its processes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tfleet.contract.address import LOCALHOST, Address, is_loopback, is_unspecified
from tfleet.discovery.registry import ConsulRegistry, EmbeddedRegistry
from tfleet.proxy.settings import Mode
from tfleet.runtime.child_process import ChildSpec
from tfleet.runtime.cpus import fair_share
from tfleet.runtime.log import LogFormat, LogLevel

PROGRAM: Final = (sys.executable, "-P", "-m", "tfleet")
"""This very program. -P: as with `tfleet`, no file in the current folder takes the place of a module."""

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """A fleet to start. The ports are real ones, not 0; times are in seconds.

    `of_proxy` and `of_workers` are further options of theirs, as their command lines have them.
    """

    proxy: Address
    mode: Mode
    workers: int
    registry: ConsulRegistry | EmbeddedRegistry
    service: str
    log_format: LogFormat
    drain_timeout_s: float
    admin_port: int | None = None
    listeners: int = 1
    log_level: LogLevel = "info"
    of_proxy: tuple[str, ...] = ()
    of_workers: tuple[str, ...] = ()
    registry_token_file: Path | None = None
    ticket_key_file: Path | None = None
    program: tuple[str, ...] = PROGRAM

    @property
    def seen_here(self) -> Address:
        """Where this machine finds the proxy."""
        if self.proxy.host != LOCALHOST and not is_unspecified(self.proxy.host):
            return self.proxy
        return replace(self.proxy, host="::1" if ":" in self.proxy.host else LOOPBACK)

    @property
    def workers_page_here(self) -> Address:
        """Where this machine finds the proxy's `/workers`."""
        return self.seen_here if self.admin_port is None else replace(self.seen_here, port=self.admin_port)

    def registry_spec(self) -> ChildSpec | None:
        """The embedded registry as a process of its own: so a proxy that restarts loses no registration."""
        if isinstance(self.registry, ConsulRegistry):
            return None
        address = self.registry.address
        where = ("--host", address.host, "--port", str(address.port))
        return self._spec("registry", "registry", *where, *self._token())

    def proxy_spec(self) -> ChildSpec:
        """The proxy."""
        return self._spec(
            "proxy",
            "proxy",
            *("--host", self.proxy.host, "--port", str(self.proxy.port), "--mode", self.mode),
            *(() if self.admin_port is None else ("--admin-port", str(self.admin_port))),
            *("--listeners", str(self.listeners)),
            *self.of_proxy,
            *self._common(),
        )

    def worker_specs(self) -> tuple[ChildSpec, ...]:
        """The workers, each on a free port of its own: in p2p mode where the proxy is, whose clients come to
        them.
        """
        host = self.proxy.host if self.mode == "p2p" and not is_loopback(self.proxy.host) else LOOPBACK
        argv = ("worker", "--host", host, "--port", "0", *self.of_workers, *self._common())
        return tuple(self._spec(f"worker-{number}", *argv) for number in range(1, self.workers + 1))

    def child_environ(self, environ: Mapping[str, str], cpus: int) -> dict[str, str]:
        """The children's environment: that of `tfleet up`, so that TFLEET_<OPTION> speaks to all of them.

        What `up` decides itself is on their command line, which wins over the environment. Only the address
        to advertise cannot be the same for all. The workers share `cpus` unless the environment says how many
        each of them uses: two that compute on all of them are in each other's way.
        """
        own = {name: value for name, value in environ.items() if name != "TFLEET_ADVERTISE"}
        return {"TFLEET_CPUS": str(fair_share(cpus, self.workers)), **own, "PYTHONUNBUFFERED": "1"}

    def _common(self) -> tuple[str, ...]:
        known = self.registry
        registry = str(known if isinstance(known, ConsulRegistry) else ConsulRegistry(known.address))
        drain = ("--drain-timeout", f"{self.drain_timeout_s:g}")
        tickets = ("--ticket-key-file", str(self.ticket_key_file)) if self.ticket_key_file else ()
        return ("--registry", registry, *self._token(), "--service", self.service, *drain, *tickets)

    def _token(self) -> tuple[str, ...]:
        return ("--registry-token-file", str(self.registry_token_file)) if self.registry_token_file else ()

    def _spec(self, name: str, *arguments: str) -> ChildSpec:
        logs = ("--log-format", self.log_format, "--log-level", self.log_level)
        return ChildSpec(name, (*self.program, *arguments, *logs))
