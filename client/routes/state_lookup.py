"""Whether a fleet's model keeps state: asked of a proxy, and only where the answer matters.

A request that may have reached a worker must not be sent again to a model that changes with each request.
That matters after a failure, which is rare, so the client asks then, and remembers the answer as long as a
lease lasts.

The rules:
- If any of the workers that a proxy names keeps state, the fleet does: nobody knows which one had the
  request.
- A proxy that answers something else says nothing of state, as older ones do: then there is none.
- If no proxy answers, or none has a worker, there is nobody to send the request to again either: that is the
  caller's error.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

from tfleet.client.concurrency.single_flight import SingleFlight
from tfleet.client.errors import FleetError, FleetUnavailableError, UnexpectedAnswerError
from tfleet.client.routes import lookup
from tfleet.client.routes.named_model import DEFAULT_MODEL, NamedModel
from tfleet.contract.names import MAX_LEASE_SIZE, REQUEST_ID

if TYPE_CHECKING:
    from tfleet.client.http.transport import HttpResponse, Transport
    from tfleet.client.proxies.failover import ProxyFailover

_LOOKUP_TIMEOUT_S: Final = 5.0
_REMEMBERED_S: Final = 10.0
"""As long as a lease."""
_UNAVAILABLE: Final = 503


class StateLookup:
    """Asks a fleet's proxies. It belongs to the event loop that first uses it."""

    def __init__(
        self, transport: Transport, proxies: ProxyFailover, model: NamedModel = DEFAULT_MODEL
    ) -> None:
        self._model = model
        self._transport = transport
        self._proxies = proxies
        self._asking: SingleFlight[bool | FleetError] = SingleFlight()
        self._stateful = False
        self._known_until_s = -math.inf

    def __repr__(self) -> str:
        return f"<StateLookup {'stateful' if self._stateful else 'stateless, as far as known'}>"

    async def stateful(self, request_id: str) -> bool:
        """Whether a model of the fleet keeps state. Raises FleetError if no proxy can answer."""
        if _now_s() >= self._known_until_s:
            found = await self._asking.result(lambda: self._ask(request_id))
            if isinstance(found, FleetError):
                raise found
            self._stateful, self._known_until_s = found, _now_s() + _REMEMBERED_S
        return self._stateful

    async def close(self) -> None:
        """Cancel a lookup in progress."""
        await self._asking.close()

    async def _ask(self, request_id: str) -> bool | FleetError:
        path, headers = lookup.path(MAX_LEASE_SIZE, model=self._model), {REQUEST_ID: request_id}

        async def send(url: str, patience_s: float | None) -> HttpResponse:
            return await self._transport.get(url + path, headers, try_timeout_s=patience_s)

        deadline_s = _now_s() + _LOOKUP_TIMEOUT_S
        try:
            async with asyncio.timeout_at(deadline_s):
                reply = await self._proxies.ask(send, deadline_s=deadline_s, request_id=request_id)
        except TimeoutError:
            message = f"{self._proxies} did not answer a lookup within {_LOOKUP_TIMEOUT_S:g} s"
            return FleetUnavailableError(message, request_id=request_id)
        except FleetError as error:
            return error
        try:
            return any(worker.stateful for worker in lookup.read_lease(reply, request_id=request_id).workers)
        except UnexpectedAnswerError:
            return False
        except FleetError as error:
            return error if reply.status == _UNAVAILABLE else False


def _now_s() -> float:
    return asyncio.get_running_loop().time()
