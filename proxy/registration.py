"""The proxy's own place in the registry, where clients find it.

The rules:

- It registers when it listens and has a worker to send to. From then on it stays registered until it drains:
  a proxy whose workers are gone is of no less use than the others, which see the same workers.
- Nothing here is a condition for serving. What fails is logged and tried again for as long as the proxy
  lives; so is a registration at an address that another one holds.
- It leaves before it refuses anybody.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any, Final

import structlog

from tfleet.contract.address import Address
from tfleet.contract.names import proxies_of
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.instance import Instance, new_id
from tfleet.discovery.registration.advertise import advertised
from tfleet.discovery.registration.heartbeat import TTL_S, Registration
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.readiness import Readiness
from tfleet.runtime.backoff import Backoff

_RETRY: Final = Backoff(first_s=0.25, cap_s=10.0)


class ProxyRegistration:
    """Registers the proxy of the workers of `service`, at the address `chosen` or else where it listens."""

    def __init__(self, registry: ConsulRegistry, service: str, chosen: Address | None) -> None:
        self._registry = registry
        self._service = proxies_of(service)
        self._chosen = chosen
        self._registration: Registration | None = None
        self._rng = random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._log: Any = structlog.get_logger()

    def __repr__(self) -> str:
        return f"<ProxyRegistration {self._registration!r}>"

    @property
    def registered(self) -> bool:
        """Whether the registry has the proxy, as far as this side knows."""
        return self._registration is not None and self._registration.registered

    async def join(self, listening: Address, readiness: Readiness, first_ready: asyncio.Event) -> None:
        """Begin to register as soon as the proxy is ready. A thread goes on with it until `leave`."""
        await first_ready.wait()
        address = await self._advertised(listening)
        if readiness.draining:
            return
        readiness.call(new_id(self._service, address))
        agent = ConsulAgent(self._registry.address, self._service, ttl_s=TTL_S, access=self._registry.access)
        self._registration = Registration(
            agent,
            Instance(readiness.name, address),
            who="proxy",
            locate=lambda instance: self._located(instance, listening),
        )
        self._registration.start()

    async def leave(self) -> None:
        """Undo it, once. A registry that does not answer cleans up by itself later."""
        registration, self._registration = self._registration, None
        if registration is not None:
            await asyncio.to_thread(registration.stop)

    def _located(self, instance: Instance, listening: Address) -> Instance:
        """With the address of now. No way to the registry is no news of it."""
        try:
            return replace(instance, address=advertised(listening, self._chosen, self._registry.address))
        except OSError:
            return instance

    async def _advertised(self, listening: Address) -> Address:
        failures = 0
        while True:
            try:
                return await asyncio.to_thread(advertised, listening, self._chosen, self._registry.address)
            except OSError as error:
                failures += 1
                if failures == 1:
                    self._log.warning("no way to the registry yet", error=error.strerror or str(error))
                await asyncio.sleep(_RETRY.delay_s(failures, self._rng))
