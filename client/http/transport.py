"""An HTTP answer, read to its end.

HTTP, one request at a time: the only module that knows aiohttp. What it raises is ours.

The rules:
- The deadline of a call is its caller's (`asyncio.timeout`); here only making a connection has a limit of
  its own, and a try where it is asked for: so long without anything moving, from the moment on that the
  request has a connection or makes one.
- A kept-alive connection that the other side closed while it lay idle is nobody's problem: the request is
  sent once more. By then the loop has seen the end of the other connections that died with it.
- Redirects are not followed: a POST would turn into a GET, and no proxy of ours sends them.
- An answer is read to a limit and no further.
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from dataclasses import dataclass
from http.client import responses
from typing import TYPE_CHECKING, Any, Final, Literal

import aiohttp
from aiohttp.client_proto import ResponseHandler

from tfleet.client.errors import BadImageError, UnexpectedAnswerError
from tfleet.client.http.inactivity_timeout import InactivityTimeout
from tfleet.runtime.network_errors import plain_reason

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from tfleet.client.images.image import Image


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Status, headers (a mapping that ignores case), body, and the URL that gave them."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def document(self) -> dict[str, Any] | None:
        """The JSON object in the body, None where it holds none."""
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) else None

    def describe(self) -> str:
        """Status and kind of content, for the message about an answer that was not expected."""
        kind = self.headers.get("Content-Type", "").partition(";")[0] or "no content type"
        return f"{self.status} {responses.get(self.status, '')}".strip() + f" ({kind})"


_MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
_MAX_TABLE_BYTES: Final = 64 * 1024 * 1024  # /workers of 10,000 workers with long errors


class LostConnectionError(Exception):
    """No whole answer came, and the reason is the connection's. The message is the reason alone."""

    def __init__(self, reason: str, *, reused: bool = False, begun: bool = False, late: bool = False) -> None:
        super().__init__(reason)
        self.reused = reused
        self.begun = begun
        self.late = late

    @property
    def is_stale(self) -> bool:
        """Whether it is what an idle connection, closed by the other side, looks like."""
        return self.reused and not self.begun


@dataclass(slots=True)
class _Exchange:
    """A request on its way: what waits for it, and whether its connection had served another one."""

    patience: InactivityTimeout
    reused: bool = True


@dataclass(frozen=True, slots=True)
class _Tls:
    """Whom to believe; True is whom the system believes."""

    context: ssl.SSLContext | Literal[True] = True
    server_name: str | None = None


_THE_SYSTEMS: Final = _Tls()


_exchange: Final[ContextVar[_Exchange]] = ContextVar("exchange")
"""That of this task; one at a time."""


class _Connector(aiohttp.TCPConnector):
    """Notes when a request has a connection or begins to make one. (aiohttp's tracing tells that, too, and
    costs more than a tenth of a small request.)
    """

    async def connect(self, *what: Any, **how: Any) -> aiohttp.connector.Connection:
        connection = await super().connect(*what, **how)
        _exchange.get().patience.moved()
        return connection

    async def _create_connection(self, *what: Any, **how: Any) -> ResponseHandler:
        exchange = _exchange.get()
        exchange.reused = False
        exchange.patience.moved()
        return await super()._create_connection(*what, **how)


class Transport:
    """Keeps connections, up to `max_connections` at once. Belongs to the event loop that first uses it."""

    def __init__(self, *, connect_timeout_s: float, max_connections: int) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._session else "unused"
        return f"<Transport {state}, at most {self._max_connections} connections>"

    async def post(
        self, url: str, image: Image, headers: Mapping[str, str], *, try_timeout_s: float | None = None
    ) -> HttpResponse:
        """Send an image. Raises LostConnectionError, UnexpectedAnswerError and, from its reading,
        BadImageError.
        """
        headers = {**headers, "Content-Type": image.content_type, "Content-Length": str(image.size)}
        try:
            return await self._request("POST", url, headers, _MAX_ANSWER_BYTES, image, try_timeout_s)
        except LostConnectionError as error:
            if not error.is_stale:
                raise
        return await self._request("POST", url, headers, _MAX_ANSWER_BYTES, image, try_timeout_s)

    async def get(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        try_timeout_s: float | None = None,
        context: ssl.SSLContext | None = None,
        server_name: str | None = None,
    ) -> HttpResponse:
        """Ask for a document; `context` and `server_name` are for TLS other than the system's. Raises
        LostConnectionError and UnexpectedAnswerError.
        """
        headers = {**headers, "Accept": "application/json"}
        tls = _Tls(context or True, server_name)
        # aiohttp itself repeats a GET that met a stale connection.
        return await self._request(
            "GET", url, headers, _MAX_TABLE_BYTES, try_timeout_s=try_timeout_s, tls=tls
        )

    async def tell(self, url: str, headers: Mapping[str, str]) -> HttpResponse:
        """Send a POST without a body. Raises LostConnectionError and UnexpectedAnswerError."""
        headers = {**headers, "Accept": "application/json"}
        return await self._request("POST", url, headers, _MAX_ANSWER_BYTES)

    async def close(self) -> None:
        """Close the connections; a later request raises RuntimeError."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def _request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        max_bytes: int,
        image: Image | None = None,
        try_timeout_s: float | None = None,
        tls: _Tls = _THE_SYSTEMS,
    ) -> HttpResponse:
        patience = InactivityTimeout(try_timeout_s)
        exchange = _Exchange(patience)
        _exchange.set(exchange)
        begun = False
        body = image.payload(patience.moved) if image is not None else None
        try:
            async with (
                patience,
                self._open_session().request(
                    method,
                    url,
                    headers=headers,
                    data=body,
                    allow_redirects=False,
                    ssl=tls.context,
                    server_hostname=tls.server_name,
                ) as response,
            ):
                begun = True
                read = await _read(response, max_bytes, patience)
                return HttpResponse(url, response.status, response.headers, read)
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            _raise_bad_image(error)
            raise LostConnectionError(plain_reason(error), reused=exchange.reused, begun=begun) from error
        except aiohttp.ClientError as error:
            _raise_bad_image(error)
            raise UnexpectedAnswerError(f"{url} does not speak HTTP as tfleet does") from error
        except TimeoutError as error:  # the patience; aiohttp's own are among its errors
            raise LostConnectionError(
                f"nothing moved for {try_timeout_s:g} s", begun=begun, late=True
            ) from error

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("the client is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(limit=self._max_connections),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                # A compressed answer could be larger than the bytes that were counted.
                headers={"Accept-Encoding": "identity"},
            )
        return self._session


async def _read(response: aiohttp.ClientResponse, max_bytes: int, patience: InactivityTimeout) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        patience.moved()
        size += len(chunk)
        if size > max_bytes:
            response.close()
            raise UnexpectedAnswerError(
                f"{response.url} answered more than {max_bytes} bytes", status=response.status
            )
        chunks.append(chunk)
    return b"".join(chunks)


def _raise_bad_image(error: BaseException) -> None:
    """Raise what the reading of the image raised, if that is what aiohttp's error comes from."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BadImageError):
            raise cause
        cause = cause.__cause__
