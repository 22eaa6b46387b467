"""Where a worker is: its address in the fleet's network, and the one for clients outside, if it has one.

The rules:

- What `--advertise` says is the address for as long as the worker lives. Else it is this machine's own on the
  way to the registry, and looked up again before each heartbeat: that asks nobody but the kernel, and a name
  server where the registry has a name.
- No way to the registry is no news of the address: it stays what it was.
- The outside address is found at the start, and again where the other one has changed: that is when an engine
  publishes ports anew. If that fails the worker does without it, and asks again before the next heartbeat.
- It is told to nobody before one such address has been tested, if it can be.
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
    """Call it to have an instance with the addresses of now. `find` gives the address in the fleet's network;
    it may raise OSError. `may_tell_wan` is whether the outside address may be told, from the start on.

    Raises OSError and NotPublishedError where the first look finds nothing.
    """

    def __init__(self, find: Callable[[], Address], find_wan: FindWan | None, listening_port: int) -> None:
        self.may_tell_wan: Callable[[], bool] = lambda: True
        self.address = find()
        self._find = find
        self._find_wan = find_wan
        self._port = listening_port
        self.wan = None if find_wan is None else find_wan(listening_port)
        self._owed = False
        """Whether the outside address has to be asked for again."""
        self._log: Any = structlog.get_logger()

    def __repr__(self) -> str:
        return f"<WorkerAddresses {self.address} wan={self.wan}>"

    def __call__(self, instance: Instance) -> Instance:
        try:
            address = self._find()
        except OSError:
            address = self.address
        if address != self.address or self._owed:
            self.address = address
            self.wan = self._wan_again()
        return replace(instance, address=address, wan=self.wan if self.may_tell_wan() else None)

    def _wan_again(self) -> Address | None:
        try:
            found = None if self._find_wan is None else self._find_wan(self._port)
        except NotPublishedError as error:
            if not self._owed:
                self._log.warning("no address for clients outside any more", error=str(error))
            self._owed = True
            return None
        self._owed = False
        return found


def why_untested(wan: Address, registry: Address) -> str:
    """Why the registry can't tell whether an outside address is reached; empty where it can."""
    if is_unspecified(wan.host):
        return "it is every address of the machine, and nobody knows by which one a client will come"
    if is_loopback(wan.host) and not is_loopback(registry.host):
        return "it is on loopback, which is another one for the registry"
    return ""
