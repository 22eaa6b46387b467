"""Send one HTTP request and read its answer. The only module that uses aiohttp; it raises our own errors.

The rules:
- The caller sets the deadline of a call (`asyncio.timeout`). This module limits only the time for connecting
  and, if asked to, the time without progress, from the moment when the request has a connection or starts to
  connect.
- If the other side closed an idle keep-alive connection, what is idempotent is sent once more. By then the
  loop has noticed the end of all connections that were closed at the same time.
- Redirects are not followed: a POST would become a GET, and tfleet's proxies don't send any to this client.
- An answer is read up to a limit of bytes.
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

    from tfleet.client.body import SentBody

_MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
_MAX_TABLE_BYTES: Final = 64 * 1024 * 1024  # /workers of 10,000 workers, or outputs of many rows


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The status, headers (a case-insensitive mapping) and body of an answer, and the URL of its request."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def document(self) -> dict[str, Any] | None:
        """The JSON object in the body; None if it has none."""
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) else None

    def describe(self) -> str:
        """Status and content type, for the error message about an unexpected answer."""
        kind = self.headers.get("Content-Type", "").partition(";")[0] or "no content type"
        return f"{self.status} {responses.get(self.status, '')}".strip() + f" ({kind})"


class LostConnectionError(Exception):
    """The connection failed before the answer was complete. The message is the reason.

    `reused`: it was a keep-alive connection. `sent`: the request may have been received, since it had a
    connection. `begun`: the answer had begun. `late`: there was no progress in time.
    """

    def __init__(
        self,
        reason: str,
        *,
        reused: bool = False,
        sent: bool = False,
        begun: bool = False,
        late: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reused = reused
        self.sent = sent
        self.begun = begun
        self.late = late

    @property
    def is_stale(self) -> bool:
        """Whether this is how an idle connection fails that the other side has closed."""
        return self.reused and not self.begun


@dataclass(slots=True)
class _SentRequest:
    """A request in progress: its timeout, whether its connection has served an earlier request, and whether
    it has one.
    """

    timeout: InactivityTimeout
    reused: bool = True
    connected: bool = False


@dataclass(frozen=True, slots=True)
class _TlsContext:
    """The TLS context; True is the system's."""

    context: ssl.SSLContext | Literal[True] = True
    server_name: str | None = None


_SYSTEM_TLS: Final = _TlsContext()


_exchange: Final[ContextVar[_SentRequest]] = ContextVar("exchange")
"""The request of the current task."""


class _Connector(aiohttp.TCPConnector):
    """Records when a request gets a connection or starts to connect.

    aiohttp's tracing reports the same, but costs more than 10 % of a small request.
    """

    async def connect(self, *what: Any, **how: Any) -> aiohttp.connector.Connection:
        connection = await super().connect(*what, **how)
        exchange = _exchange.get()
        exchange.connected = True
        exchange.timeout.progress()
        return connection

    async def _create_connection(self, *what: Any, **how: Any) -> ResponseHandler:
        exchange = _exchange.get()
        exchange.reused = False
        exchange.timeout.progress()
        return await super()._create_connection(*what, **how)


class Transport:
    """A pool of up to `max_connections` connections. It belongs to the event loop that first uses it."""

    def __init__(self, *, connect_timeout_s: float, max_connections: int) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._session else "unused"
        return f"<Transport {state}, at most {self._max_connections} connections>"

    async def post(
        self,
        url: str,
        body: SentBody,
        headers: Mapping[str, str],
        *,
        try_timeout_s: float | None = None,
        idempotent: bool = True,
    ) -> HttpResponse:
        """Send a body; what is not `idempotent` is sent once only.

        Raises LostConnectionError, UnexpectedAnswerError and BadImageError (an image can't be read).
        """
        headers = {**headers, "Content-Type": body.content_type, "Content-Length": str(body.size)}
        try:
            return await self._request("POST", url, headers, _MAX_TABLE_BYTES, body, try_timeout_s)
        except LostConnectionError as error:
            if not (error.is_stale and idempotent):
                raise
        # Safe although it is a POST: a prediction changes nothing, unless the model is stateful.
        return await self._request("POST", url, headers, _MAX_TABLE_BYTES, body, try_timeout_s)

    async def get(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        try_timeout_s: float | None = None,
        context: ssl.SSLContext | None = None,
        server_name: str | None = None,
    ) -> HttpResponse:
        """Get a document; `context` and `server_name` replace the system's TLS settings.

        Raises LostConnectionError and UnexpectedAnswerError.
        """
        headers = {**headers, "Accept": "application/json"}
        tls = _TlsContext(context or True, server_name)
        # aiohttp itself repeats a GET on a stale connection.
        return await self._request(
            "GET", url, headers, _MAX_TABLE_BYTES, try_timeout_s=try_timeout_s, tls=tls
        )

    async def fetch(self, url: str, max_bytes: int) -> HttpResponse:
        """Get what is at a URL that is not the fleet's, through redirects. Raises as `get` does."""
        return await self._request("GET", url, {}, max_bytes, redirects=True)

    async def post_empty(self, url: str, headers: Mapping[str, str]) -> HttpResponse:
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
        body: SentBody | None = None,
        try_timeout_s: float | None = None,
        tls: _TlsContext = _SYSTEM_TLS,
        *,
        redirects: bool = False,
    ) -> HttpResponse:
        timeout = InactivityTimeout(try_timeout_s)
        exchange = _SentRequest(timeout)
        _exchange.set(exchange)
        begun = False
        payload = body.payload(timeout.progress) if body is not None else None
        try:
            async with (
                timeout,
                self._open_session().request(
                    method,
                    url,
                    headers=headers,
                    data=payload,
                    allow_redirects=redirects,
                    ssl=tls.context,
                    server_hostname=tls.server_name,
                ) as response,
            ):
                # From here on the worker has accepted the request: whatever happens, it is reachable.
                begun = True
                read = await _read(response, max_bytes, timeout)
                return HttpResponse(url, response.status, response.headers, read)
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            _raise_bad_image(error)
            raise LostConnectionError(
                plain_reason(error), reused=exchange.reused, sent=exchange.connected, begun=begun
            ) from error
        except aiohttp.ClientError as error:
            _raise_bad_image(error)
            raise UnexpectedAnswerError(f"{url} does not speak HTTP as tfleet does") from error
        except TimeoutError as error:  # InactivityTimeout's; aiohttp's own are ClientErrors
            raise LostConnectionError(
                f"no progress for {try_timeout_s:g} s", sent=exchange.connected, begun=begun, late=True
            ) from error

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("the client is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(limit=self._max_connections),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                # A compressed answer could inflate beyond the limit.
                headers={"Accept-Encoding": "identity"},
            )
        return self._session


async def _read(response: aiohttp.ClientResponse, max_bytes: int, inactivity: InactivityTimeout) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        inactivity.progress()
        size += len(chunk)
        if size > max_bytes:
            response.close()
            raise UnexpectedAnswerError(
                f"{response.url} answered more than {max_bytes} bytes", status=response.status
            )
        chunks.append(chunk)
    return b"".join(chunks)


def _raise_bad_image(error: BaseException) -> None:
    """Raise the BadImageError that caused aiohttp's error, if there is one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BadImageError):
            raise cause
        cause = cause.__cause__
