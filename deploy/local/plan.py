"""The processes of a fleet on one machine, and the command line of each."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tfleet.contract.address import LOCALHOST, Address, is_loopback, is_unspecified
from tfleet.deploy.local.jobs_plan import JobsPlan
from tfleet.deploy.local.repository.source import ModelSource
from tfleet.discovery.data_folder import IN_MEMORY
from tfleet.discovery.registry import ConsulRegistry, EmbeddedRegistry
from tfleet.proxy.settings import Mode
from tfleet.runtime.child_process import ChildSpec
from tfleet.runtime.cpus import fair_share
from tfleet.runtime.log import LogSettings

PROGRAM: Final = (sys.executable, "-P", "-m", "tfleet")
"""This program. -P: no file in the current folder is imported instead of a module."""

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ProxyPlan:
    """The proxy. `options` are further options, as on its command line. The port of `address` is not 0."""

    address: Address
    mode: Mode
    listeners: int = 1
    admin_port: int | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkersPlan:
    """The workers: how many, and their options, as on their command line.

    With `preload` they are forked from a process that has imported TensorFlow.
    """

    number: int
    options: tuple[str, ...] = ()
    preload: bool = False


@dataclass(frozen=True, slots=True)
class RepositoryPlan:
    """The models of `tfleet up --models`: what is watched, and how many workers each version gets."""

    source: ModelSource
    workers_per_model: int = 1


@dataclass(frozen=True, slots=True)
class SharedOptions:
    """Options that all processes get."""

    logs: LogSettings
    registry_token_file: Path | None = None
    ticket_key_file: Path | None = None
    jobs: JobsPlan | None = None


def worker_cpus(cpus: int, workers: int) -> dict[str, str]:
    """The variable for one of so many workers that share the CPUs."""
    return {"TFLEET_CPUS": str(fair_share(cpus, workers))}


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """A fleet to start. `drain_timeout_s` is in seconds.

    With a `repository` its models decide how many workers there are, and `workers.number` does not count.
    """

    proxy: ProxyPlan
    workers: WorkersPlan
    registry: ConsulRegistry | EmbeddedRegistry
    service: str
    shared: SharedOptions
    drain_timeout_s: float
    program: tuple[str, ...] = PROGRAM
    repository: RepositoryPlan | None = None

    @property
    def local_proxy_address(self) -> Address:
        """The proxy's address for this machine."""
        address = self.proxy.address
        if address.host != LOCALHOST and not is_unspecified(address.host):
            return address
        return replace(address, host="::1" if ":" in address.host else LOOPBACK)

    @property
    def local_admin_address(self) -> Address:
        """The address of the proxy's page `/workers` for this machine."""
        address, port = self.local_proxy_address, self.proxy.admin_port
        return address if port is None else replace(address, port=port)

    def registry_spec(self) -> ChildSpec | None:
        """The embedded registry in its own process, so that a restarted proxy loses no registration; None
        with Consul.
        """
        if isinstance(self.registry, ConsulRegistry):
            return None
        address = self.registry.address
        where = ("--host", address.host, "--port", str(address.port))
        data = ("--registry-data-dir", str(self.registry.data_dir or IN_MEMORY))
        return self._spec("registry", "registry", *where, *data, *self._token())

    def proxy_spec(self) -> ChildSpec:
        """The proxy's process."""
        return self._spec(
            "proxy",
            "proxy",
            *("--host", self.proxy.address.host, "--port", str(self.proxy.address.port)),
            *("--mode", self.proxy.mode),
            *(() if self.proxy.admin_port is None else ("--admin-port", str(self.proxy.admin_port))),
            *("--listeners", str(self.proxy.listeners)),
            *self.proxy.options,
            *self._jobs(),
            *self._common(),
        )

    def worker_specs(self) -> tuple[ChildSpec, ...]:
        """The workers' processes; none with a repository, whose workers start as its models come."""
        number = 0 if self.repository else self.workers.number
        return tuple(self.worker_spec(f"worker-{each}") for each in range(1, number + 1))

    def worker_spec(self, name: str, *model: str) -> ChildSpec:
        """A worker's process, on a free port; `model` are the options that name its model.

        In p2p mode workers listen on the proxy's host, because clients connect to them; otherwise on
        loopback.
        """
        proxy = self.proxy
        host = proxy.address.host if proxy.mode == "p2p" and not is_loopback(proxy.address.host) else LOOPBACK
        where = ("--host", host, "--port", "0")
        argv = ("worker", *where, *model, *self.workers.options, *self._jobs(), *self._common())
        return self._spec(name, *argv)

    def child_environ(self, environ: Mapping[str, str], cpus: int) -> dict[str, str]:
        """The children's environment: that of `tfleet up`, so that TFLEET_<OPTION> variables reach all of
        them.

        What `up` decides itself is on their command line, which overrides the environment. TFLEET_ADVERTISE
        is removed, because the processes cannot share one address. The workers share `cpus` unless
        TFLEET_CPUS is set: two workers that both use all CPUs slow each other down.
        """
        own = {name: value for name, value in environ.items() if name != "TFLEET_ADVERTISE"}
        share = {} if self.repository else worker_cpus(cpus, self.workers.number)
        return {**share, **own, "PYTHONUNBUFFERED": "1"}

    def _common(self) -> tuple[str, ...]:
        known = self.registry
        registry = str(known if isinstance(known, ConsulRegistry) else ConsulRegistry(known.address))
        drain = ("--drain-timeout", f"{self.drain_timeout_s:g}")
        tickets = ("--ticket-key-file", str(key_file)) if (key_file := self.shared.ticket_key_file) else ()
        return ("--registry", registry, *self._token(), "--service", self.service, *drain, *tickets)

    def _jobs(self) -> tuple[str, ...]:
        return self.shared.jobs.options if self.shared.jobs else ()

    def _token(self) -> tuple[str, ...]:
        token_file = self.shared.registry_token_file
        return ("--registry-token-file", str(token_file)) if token_file else ()

    def _spec(self, name: str, *arguments: str) -> ChildSpec:
        logs = ("--log-format", self.shared.logs.format, "--log-level", self.shared.logs.level)
        return ChildSpec(name, (*self.program, *arguments, *logs))
