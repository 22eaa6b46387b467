"""The client of `/v1/health/service`: the live instances of a service, by blocking queries.

Queries are `stale`: any Consul server may answer, even without a leader. So a proxy that starts while
there is no leader still finds its workers; whether they are alive, health checks decide.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from tfleet.contract.address import Address
from tfleet.discovery.consul.access import Access
from tfleet.discovery.consul.health_json import parse_service_list
from tfleet.discovery.consul.http_client import ConsulHttp, answer_timeout_s
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import ServiceList


@dataclass(frozen=True, slots=True)
class HealthResponse:
    """The registry's answer about a service: its index and its instances.

    Without a leader (`has_leader`) the data may be old. It is not `complete` if Consul says that it left
    out what the token may not read (1.11 and later do). `embedded` is whether the embedded registry
    answered, which leaves out nothing.
    """

    index: int
    services: ServiceList
    has_leader: bool = True
    complete: bool = True
    embedded: bool = False

    @property
    def instances(self) -> tuple[Instance, ...]:
        """The instances whose checks all pass, ordered by id."""
        return self.services.passing


class Health(Protocol):
    """The source of a Watch. Raises a RegistryError."""

    async def service(self, service: str, index: int, wait_s: float) -> HealthResponse:
        """Return the current answer (index 0), or wait until it is newer than `index`, at most `wait_s`."""


class ConsulHealth:
    """Health over Consul's HTTP API. Create and close it inside a running event loop."""

    def __init__(self, address: Address, *, wait_s: float, access: Access | None = None) -> None:
        self._http = ConsulHttp(address, timeout_s=answer_timeout_s(wait_s), access=access)

    def __repr__(self) -> str:
        return f"<ConsulHealth {self._http.where}>"

    async def close(self) -> None:
        await self._http.close()

    async def service(self, service: str, index: int, wait_s: float) -> HealthResponse:
        since = {"index": str(index)} if index else {}
        path = f"/v1/health/service/{quote(service, safe='')}"
        needed = f"service:read for {service} and node:read"
        with self._http.errors_mapped():
            # A stale read: any server may answer, so the list is there even while Consul has no leader.
            query = {"stale": "", "wait": f"{wait_s:g}s", **since}
            answer = await self._http.call("GET", path, query, needed=needed)
            return HealthResponse(
                answer.index,
                parse_service_list(json.loads(answer.body)),
                answer.has_leader,
                answer.complete,
                answer.embedded,
            )
