"""The proxy's own entry in the registry, by which clients find it.

The rules:

- It registers when it listens and has a ready worker. From then on it stays registered until it drains,
  even if it loses all workers: the other proxies see the same workers, so they have none either.
- It serves whether it is registered or not. Failures, conflicts about the address included, are logged and
  retried for as long as the proxy runs.
- On shutdown it deregisters before it rejects requests.
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
    """Registers a proxy of the workers of `service`, at the `chosen` address or else the one it
    listens on.
    """

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
        """Whether the registry has the proxy, as far as this process knows."""
        return self._registration is not None and self._registration.registered

    async def join(self, listening: Address, readiness: Readiness, first_ready: asyncio.Event) -> None:
        """Wait until the proxy is ready, then start to register. A thread keeps the entry alive until
        `leave`.
        """
        await first_ready.wait()
        address = await self._advertised(listening)
        # It may have begun to drain while it waited for its first worker.
        if readiness.draining:
            return
        readiness.set_name(new_id(self._service, address))
        agent = ConsulAgent(self._registry.address, self._service, ttl_s=TTL_S, access=self._registry.access)
        self._registration = Registration(
            agent,
            Instance(readiness.name, address),
            who="proxy",
            locate=lambda instance: self._located(instance, listening),
        )
        self._registration.start()

    async def leave(self) -> None:
        """Deregister, once. An unreachable registry removes the entry itself later."""
        registration, self._registration = self._registration, None
        if registration is not None:
            await asyncio.to_thread(registration.stop)

    def _located(self, instance: Instance, listening: Address) -> Instance:
        """Return the instance with its current address; without a route to the registry the old one stays."""
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
                    self._log.warning("no route to the registry yet", error=error.strerror or str(error))
                await asyncio.sleep(_RETRY.delay_s(failures, self._rng))
