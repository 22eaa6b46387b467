"""The registry as a proxy sees it: the live workers of a service. Asynchronous, through py-consul."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp
from consul import aio
from consul.exceptions import ACLDisabled, ACLPermissionDenied, BadRequest, ClientError, ConsulException

from tfleet.discovery.address import Address
from tfleet.discovery.errors import RegistryRefusedError, RegistryUnavailableError
from tfleet.discovery.index import answer_timeout_s
from tfleet.discovery.instance import Instance, from_health_entry, is_passing

# What comes of JSON that is not what Consul says.
_NOT_CONSUL: Final = (ValueError, TypeError, RecursionError)


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """What the registry says of a service: its index and the workers whose checks pass, ordered by id."""

    index: int
    instances: tuple[Instance, ...]


class Health(Protocol):
    """Where a watch asks. Raises a RegistryError."""

    async def service(self, service: str, index: int, wait_s: float) -> HealthAnswer:
        """The answer now (index 0), or as soon as it is newer than `index`, or after `wait_s`."""


class ConsulHealth:
    """Health over Consul's HTTP API. Made and closed inside a running event loop."""

    def __init__(self, address: Address, *, wait_s: float) -> None:
        self._where = f"the registry at {address}"
        # verify=False: no TLS context is needed for plain http.
        self._consul = aio.Consul(
            address.host,
            address.port,
            scheme="http",
            verify=False,
            connections_timeout=answer_timeout_s(wait_s),
        )

    def __repr__(self) -> str:
        return f"<ConsulHealth {self._where}>"

    async def close(self) -> None:
        await self._consul.close()

    async def service(self, service: str, index: int, wait_s: float) -> HealthAnswer:
        try:
            answered, entries = await self._consul.health.service(
                service, index=index or None, wait=f"{wait_s:g}s"
            )
            return HealthAnswer(int(answered), live_instances(entries))
        except (ACLDisabled, ACLPermissionDenied, BadRequest, ClientError) as error:
            raise RegistryRefusedError(f"{self._where} refuses: {error}") from error
        except TimeoutError as error:
            raise RegistryUnavailableError(f"{self._where} does not answer: timed out") from error
        except (aiohttp.ClientError, ConsulException, OSError, *_NOT_CONSUL) as error:
            raise RegistryUnavailableError(
                f"{self._where} does not answer as Consul does: {error}"
            ) from error


def live_instances(entries: Any) -> tuple[Instance, ...]:
    """Read the answer's list, leaving out entries that nobody could route to.

    Raises TypeError where it is no list.
    """
    if not isinstance(entries, list):
        raise TypeError(f"expected a list, got {type(entries).__name__}")
    return _in_order(
        from_health_entry(entry) for entry in entries if isinstance(entry, dict) and is_passing(entry)
    )


def _in_order(instances: Iterable[Instance | None]) -> tuple[Instance, ...]:
    return tuple(sorted((i for i in instances if i is not None), key=lambda i: i.id))
