"""Look up the proxies in Consul, and repeat the lookup from time to time.

The rules:
- A request starts a lookup that is due, so an idle client sends nothing. A lookup runs in the background;
  requests wait for it only if no other proxy is left to try.
- A lookup is due about ten seconds after the last one, and within a second after a proxy failed.
- `on_found` gets the proxies that are passing. If the registry does not answer, the known proxies stay.
- Lookups use the client's own HTTP connections: a Consul library would take longer to import than an image to
  classify.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tfleet.client.concurrency.single_flight import SingleFlight
from tfleet.client.errors import FleetUnavailableError, UnexpectedAnswerError
from tfleet.client.http.transport import LostConnectionError
from tfleet.contract.names import EMBEDDED_REGISTRY
from tfleet.discovery.consul.credentials import Credentials
from tfleet.discovery.consul.error_messages import explain_denied, explain_rejected, explain_tls_error
from tfleet.discovery.consul.health_json import parse_listings
from tfleet.discovery.errors import RegistryError, RegistryRefusedError

if TYPE_CHECKING:
    from tfleet.client.http.transport import HttpResponse, Transport
    from tfleet.client.proxies.addresses import ProxiesInRegistry

_AGAIN_AFTER_S: Final = 10.0
_AFTER_FAILURE_WITHIN_S: Final = 1.0
_TIMEOUT_S: Final = 5.0
_OK: Final = 200
_BAD_REQUEST: Final = 400
_FORBIDDEN: Final = 403
_MAX_QUOTED_BYTES: Final = 200


class ConsulResolver:
    """Looks up the proxies of one fleet. It belongs to the event loop that first uses it."""

    def __init__(
        self, transport: Transport, where: ProxiesInRegistry, on_found: Callable[[tuple[str, ...]], None]
    ) -> None:
        self._transport = transport
        self._where = where
        self._on_found = on_found
        self._credentials = Credentials(where.registry.access)
        self._looks: SingleFlight[str] = SingleFlight()
        self._due_s = -math.inf
        self._rng = random.Random()  # noqa: S311 - spreads load, keeps no secret

    def __repr__(self) -> str:
        return f"<ConsulResolver of {self._where}>"

    def look_if_due(self) -> None:
        """Start a lookup if one is due."""
        if asyncio.get_running_loop().time() >= self._due_s:
            self._looks.begin(self._look)

    def doubt(self) -> None:
        """Note that a proxy failed, so the list may be outdated."""
        # At random: all clients of the proxy notice it at the same moment.
        soon_s = asyncio.get_running_loop().time() + self._rng.random() * _AFTER_FAILURE_WITHIN_S
        self._due_s = min(self._due_s, soon_s)

    async def look(self) -> FleetUnavailableError:
        """Look up now. Returns the error to raise if there is still no proxy to try."""
        return FleetUnavailableError(await self._looks.result(self._look))

    async def close(self) -> None:
        """Cancel a lookup in progress. Requests that wait for it get a RuntimeError."""
        await self._looks.close()

    async def _look(self) -> str:
        """Pass the listed proxies to `on_found`. Returns the error message if no proxy is known even so."""
        self._due_s = asyncio.get_running_loop().time() + _AGAIN_AFTER_S * (0.5 + self._rng.random())
        registry = self._where.registry.address
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                reply = await self._ask()
                found = _urls(reply)
        except LostConnectionError as error:
            reason = explain_tls_error(error) or error
            return f"cannot find a proxy: the registry at {registry} does not answer: {reason}"
        except TimeoutError:
            return f"cannot find a proxy: the registry at {registry} does not answer within {_TIMEOUT_S:g} s"
        except (UnexpectedAnswerError, RegistryError) as error:
            return f"cannot find a proxy: {error}"
        self._on_found(found)
        none_found = f"no proxy is registered as {self._where}"
        if reply.headers.get("Server") == EMBEDDED_REGISTRY:
            return none_found
        return f"{none_found}; {self._where.registry.access.acl_hint(self._where.service)}"

    async def _ask(self) -> HttpResponse:
        credentials, service = self._credentials, self._where.service
        # stale: any of Consul's servers may answer, even without a leader.
        url = f"{self._where.registry.url}/v1/health/service/{quote(service)}?passing=1&stale"
        headers = await asyncio.to_thread(credentials.headers)
        reply = await self._transport.get(
            url,
            headers,
            context=await asyncio.to_thread(credentials.context),
            server_name=credentials.server_name,
        )
        said = reply.body[:_MAX_QUOTED_BYTES].decode(errors="replace")
        refuses = f"the registry at {self._where.registry.address} refuses"
        if reply.status == _FORBIDDEN:
            needed = f"service:read for {service} and node:read"
            raise RegistryRefusedError(f"{refuses}: {explain_denied(said, needed)}")
        if reply.status == _BAD_REQUEST:
            raise RegistryRefusedError(f"{refuses}: {explain_rejected(said)}")
        return reply


def _urls(reply: HttpResponse) -> tuple[str, ...]:
    """The base URLs of the listed proxies. Raises UnexpectedAnswerError if the answer is not a list."""
    try:
        listed = parse_listings(json.loads(reply.body)) if reply.status == _OK else None
    except (ValueError, TypeError, RecursionError):
        listed = None
    if listed is None:
        said = reply.body[:_MAX_QUOTED_BYTES].decode(errors="replace")
        raise UnexpectedAnswerError(f"{reply.url} answered {reply.describe()}: {said}")
    # A proxy that was killed may still be listed beside the one that has its port now.
    return tuple(dict.fromkeys(listing.instance.address.url for listing in listed))
