"""A worker's address in the fleet's network (LAN), and its address for clients outside (WAN), if it has one.

The rules:

- `--advertise` sets the LAN address for as long as the worker runs. Without it, it is this machine's own
  address on the route to the registry, looked up before each heartbeat: a question to the kernel, and to a
  name server if the registry is given by name.
- Without a route to the registry the LAN address stays as it is.
- The WAN address is looked up at the start, and again when the LAN address has changed, because that is when
  Docker publishes ports anew. If the look-up fails the worker has no WAN address, and asks again before the
  next heartbeat.
- The WAN address is not registered before it has passed its test, where it can be tested.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import structlog

from tfleet.contract.address import Address, is_loopback, is_unspecified
from tfleet.discovery.instance import Instance
from tfleet.worker.address.docker_port import NotPublishedError
from tfleet.worker.address.wan_option import FindWan


class WorkerAddresses:
    """Fills an instance with the worker's current addresses when called.

    `find` returns the LAN address; it may raise OSError. `may_register_wan` says whether the WAN address may
    be registered yet. The constructor raises OSError and NotPublishedError if the first look-up fails.
    """

    def __init__(self, find: Callable[[], Address], find_wan: FindWan | None, listening_port: int) -> None:
        self.may_register_wan: Callable[[], bool] = lambda: True
        self.address = find()
        self._find = find
        self._find_wan = find_wan
        self._port = listening_port
        self.wan = None if find_wan is None else find_wan(listening_port)
        self._retry_wan = False
        """Whether the last look-up of the WAN address failed."""
        self._log: Any = structlog.get_logger()

    def __repr__(self) -> str:
        return f"<WorkerAddresses {self.address} wan={self.wan}>"

    def __call__(self, instance: Instance) -> Instance:
        try:
            address = self._find()
        except OSError:
            address = self.address
        # Docker is not asked at each heartbeat: its answer can take a second.
        if address != self.address or self._retry_wan:
            self.address = address
            self.wan = self._look_up_wan()
        return replace(instance, address=address, wan=self.wan if self.may_register_wan() else None)

    def _look_up_wan(self) -> Address | None:
        try:
            found = None if self._find_wan is None else self._find_wan(self._port)
        except NotPublishedError as error:
            if not self._retry_wan:
                self._log.warning("the WAN address is lost: clients outside can't connect", error=str(error))
            self._retry_wan = True
            return None
        self._retry_wan = False
        return found


def why_untested(wan: Address, registry: Address) -> str:
    """Why the registry can't test whether a WAN address is reachable; empty if it can."""
    if is_unspecified(wan.host):
        return "it stands for all addresses of the machine, and a client may use any of them"
    if is_loopback(wan.host) and not is_loopback(registry.host):
        return "it is a loopback address, which leads the registry to itself"
    return ""
