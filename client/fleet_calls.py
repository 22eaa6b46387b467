"""What every call of a client does: its address, its time, its route to a worker, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, Final

from tfleet.client.errors import BadImageError, DeadlineExceededError, UnexpectedAnswerError
from tfleet.client.http.transport import LostConnectionError, Transport
from tfleet.client.images.image import MAX_HELD_BYTES, Source, is_url, load
from tfleet.client.proxies.addresses import DEFAULT_PROXY, parse_proxies
from tfleet.client.proxies.failover import ProxyFailover
from tfleet.client.routes.call import Call
from tfleet.client.routes.forward import Forward
from tfleet.client.routes.lease import BALANCES, Balance
from tfleet.client.routes.named_model import NamedModel
from tfleet.client.routes.p2p import PeerToPeer
from tfleet.contract.request_id import request_id

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from tfleet.client.body import SentBody
    from tfleet.client.http.transport import HttpResponse

_OK: Final = 200

DEFAULT_TIMEOUT_S: Final = 30.0
DEFAULT_CONNECT_TIMEOUT_S: Final = 3.0
DEFAULT_TRY_TIMEOUT_S: Final = 10.0
DEFAULT_BALANCE: Final[Balance] = "least-in-flight"


class FleetCalls:
    """The part of an AsyncFleetClient that does not know what is asked. See there for the arguments."""

    def __init__(
        self,
        proxy: str | Sequence[str] = DEFAULT_PROXY,
        *,
        p2p: bool = False,
        balance: Balance = DEFAULT_BALANCE,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        connect_timeout_s: float = DEFAULT_CONNECT_TIMEOUT_S,
        try_timeout_s: float = DEFAULT_TRY_TIMEOUT_S,
        top: int | None = None,
        max_connections: int = 100,
        model: str | None = None,
        version: str | None = None,
        label: str | None = None,
    ) -> None:
        if not all(seconds > 0 for seconds in (timeout_s, connect_timeout_s, try_timeout_s)):
            raise ValueError("a timeout must be a number of seconds above 0")
        check_at_least_1("top", top)
        check_at_least_1("max_connections", max_connections)
        if balance not in BALANCES:
            raise ValueError(f"balance is {balance!r}, and must be one of {', '.join(BALANCES)}")
        where = parse_proxies(proxy)
        self._timeout_s = timeout_s
        self._top = top
        self._model = NamedModel(model, version, label)
        self._transport = Transport(connect_timeout_s=connect_timeout_s, max_connections=max_connections)
        self._proxies = ProxyFailover(self._transport, where, try_timeout_s=try_timeout_s)
        self._route: Forward | PeerToPeer = (
            PeerToPeer(
                self._transport,
                self._proxies,
                try_timeout_s=try_timeout_s,
                max_workers=max_connections,
                balance=balance,
                model=self._model,
            )
            if p2p
            else Forward(self._transport, self._proxies, self._model)
        )

    @property
    def proxy(self) -> str:
        """The address of the proxy, for display: its base URL, several separated by commas, or a registry."""
        return str(self._proxies)

    def __repr__(self) -> str:
        return f"<AsyncFleetClient {self._proxies} {type(self._route).__name__} {self._transport!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections. Calls in progress fail; later calls raise RuntimeError."""
        await self._route.close()
        await self._proxies.close()
        await self._transport.close()

    async def _load(self, image: Source) -> SentBody:
        if not is_url(image):
            return await load(image)
        try:
            reply = await self._transport.fetch(image, MAX_HELD_BYTES)
        except (LostConnectionError, UnexpectedAnswerError, ValueError) as error:
            raise BadImageError(f"can't be fetched: {error}") from error
        if reply.status != _OK:
            raise BadImageError(f"can't be fetched: its server answered {reply.describe()}")
        return await load(reply.body)

    def _call(self, **details: Any) -> Call:
        """A new call, whose time begins now."""
        deadline_s = asyncio.get_running_loop().time() + self._timeout_s
        return Call(request_id(None), deadline_s, model=self._model, **details)

    def _elapsed_ms(self, call: Call) -> float:
        return (asyncio.get_running_loop().time() - call.deadline + self._timeout_s) * 1000

    async def _send(self, body: SentBody | Awaitable[SentBody], call: Call) -> HttpResponse:
        """The answer to a body, within the call's time."""
        try:
            async with asyncio.timeout_at(call.deadline):
                return await self._route.send(await body if isinstance(body, Awaitable) else body, call)
        except TimeoutError as error:
            raise self._too_late(call) from error

    async def _get(self, path: str) -> tuple[HttpResponse, Call]:
        """A proxy's answer to a GET, and its call."""
        now = asyncio.get_running_loop().time()
        call = Call(request_id(None), now + self._timeout_s)

        async def send(url: str, patience_s: float | None) -> HttpResponse:
            return await self._transport.get(url + path, call.headers(now), try_timeout_s=patience_s)

        try:
            async with asyncio.timeout_at(call.deadline):
                reply = await self._proxies.ask(send, deadline_s=call.deadline, request_id=call.request_id)
        except TimeoutError as error:
            raise self._too_late(call) from error
        return reply, call

    def _too_late(self, call: Call) -> DeadlineExceededError:
        tried = str(call.attempts)
        return DeadlineExceededError(
            f"no answer from {self._proxies} in {self._timeout_s:g} s{f' ({tried})' if tried else ''}",
            request_id=call.request_id,
        )


def check_at_least_1(name: str, value: int | None) -> None:
    """Raise ValueError for a number below 1."""
    if value is not None and value < 1:
        raise ValueError(f"{name} is {value}, and must be at least 1")
