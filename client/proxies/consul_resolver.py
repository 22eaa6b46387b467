"""Finds the proxies in the registry, and looks again from time to time.

The rules:
- It is a request that finds a look due, so a client that has nothing to send asks nothing. A look runs beside
  the requests; they wait for it only where no proxy is left that they could ask.
- A look is due some ten seconds after the last one, and within a second after a proxy failed.
- The registry proposes: what it lists as passing goes to `on_found`; where it does not answer, nothing does.
- It is asked over the client's own connections: one question needs no library for Consul, which would take
  longer to import than a client takes to classify.
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
_AFTER_A_FAILURE_S: Final = 1.0
_TIMEOUT_S: Final = 5.0
_OK: Final = 200
_BAD_REQUEST: Final = 400
_FORBIDDEN: Final = 403
_MOST_BYTES: Final = 200


class ConsulResolver:
    """Looks for the proxies of one fleet. Belongs to the event loop that first uses it."""

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
        """Begin a look if it is time."""
        if asyncio.get_running_loop().time() >= self._due_s:
            self._looks.begin(self._look)

    def doubt(self) -> None:
        """Take the news that a proxy failed: the list may be old. All clients of it find out together, so
        they don't ask together.
        """
        soon_s = asyncio.get_running_loop().time() + self._rng.random() * _AFTER_A_FAILURE_S
        self._due_s = min(self._due_s, soon_s)

    async def look(self) -> FleetUnavailableError:
        """Look now. What the caller is told if there is still no proxy that it could ask."""
        return FleetUnavailableError(await self._looks.result(self._look))

    async def close(self) -> None:
        """End what is under way. Whoever waits for it gets RuntimeError."""
        await self._looks.close()

    async def _look(self) -> str:
        """Tell what is listed. What it means if no proxy is known even so."""
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
        nobody = f"no proxy is registered as {self._where}"
        if reply.headers.get("Server") == EMBEDDED_REGISTRY:
            return nobody
        return f"{nobody}; {self._where.registry.access.acl_hint(self._where.service)}"

    async def _ask(self) -> HttpResponse:
        credentials, service = self._credentials, self._where.service
        # stale: any of Consul's servers may answer, be there a leader or not.
        url = f"{self._where.registry.url}/v1/health/service/{quote(service)}?passing=1&stale"
        headers = await asyncio.to_thread(credentials.headers)
        reply = await self._transport.get(
            url,
            headers,
            context=await asyncio.to_thread(credentials.context),
            server_name=credentials.server_name,
        )
        said = reply.body[:_MOST_BYTES].decode(errors="replace")
        refuses = f"the registry at {self._where.registry.address} refuses"
        if reply.status == _FORBIDDEN:
            needed = f"service:read for {service} and node:read"
            raise RegistryRefusedError(f"{refuses}: {explain_denied(said, needed)}")
        if reply.status == _BAD_REQUEST:
            raise RegistryRefusedError(f"{refuses}: {explain_rejected(said)}")
        return reply


def _urls(reply: HttpResponse) -> tuple[str, ...]:
    """The base URLs of those that are listed. Raises UnexpectedAnswerError where it is no list."""
    try:
        listed = parse_listings(json.loads(reply.body)) if reply.status == _OK else None
    except (ValueError, TypeError, RecursionError):
        listed = None
    if listed is None:
        said = reply.body[:_MOST_BYTES].decode(errors="replace")
        raise UnexpectedAnswerError(f"{reply.url} answered {reply.describe()}: {said}")
    # A proxy that was killed may still be listed beside the one that has its port now.
    return tuple(dict.fromkeys(listing.instance.address.url for listing in listed))
