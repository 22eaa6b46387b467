"""A client that reads answers by the letter of RFC 9112, and can tell half of one from a whole one."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.support import raw_client
from tests.support.scripted_worker import reset_connection
from tfleet.contract.address import Address

_PATIENCE_S = 10.0
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([2-5]\d\d) [\t -~\x80-\xff]*")
_HEADER_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}\r\n")
_NO_BODY = {204, 304}


@dataclass(frozen=True)
class Heard(raw_client.Answer):
    """`whole` is whether its framing says that nothing is missing, `interim` the heads (1xx) before it."""

    whole: bool
    interim: tuple[bytes, ...]
    lines: tuple[tuple[str, bytes], ...]
    """The headers in their order, each as often as it was there."""


class StrictClient(raw_client.RawClient):
    """One connection. Fails at what is no HTTP."""

    async def hear(self) -> Heard | None:
        """The next answer, as much as comes of it; None where the connection ends before it."""
        async with asyncio.timeout(_PATIENCE_S):
            interim = []
            while (head := await self._until(b"\r\n\r\n")).startswith(b"HTTP/1.1 1"):
                interim.append(head)
            if not head:
                return None
            status_line, *rest = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
            minor_version, status = map(int, _match(_STATUS_LINE, status_line).groups())
            lines = tuple((m[1].decode().lower(), m[2]) for m in (_match(_HEADER_LINE, x) for x in rest))
            headers = {name: value.decode("latin-1") for name, value in lines}
            body, whole = await self._body(minor_version, status, headers)
            return Heard(status, headers, body, whole, tuple(interim), lines)

    async def whole(self) -> Heard:
        """The next answer, which must be there and whole."""
        heard = await self.hear()
        assert heard is not None
        assert heard.whole, heard
        return heard

    def half_close(self) -> None:
        """Say that nothing more will come."""
        self.writer.write_eof()

    def reset(self) -> None:
        """Leave with RST."""
        reset_connection(self.writer)

    async def _body(self, minor_version: int, status: int, headers: dict[str, str]) -> tuple[bytes, bool]:
        if status in _NO_BODY:
            return b"", True
        if headers.get("transfer-encoding") == "chunked":
            assert "content-length" not in headers
            return await self._chunks()
        if (length := headers.get("content-length")) is not None:
            body = await self._exactly(int(length))
            return body, len(body) == int(length)
        ended_by_close = headers.get("connection", "" if minor_version else "close") == "close"
        assert ended_by_close, "nothing else can end it"
        return await self._to_the_end()

    async def _chunks(self) -> tuple[bytes, bool]:
        body = b""
        while (line := await self._until(b"\r\n")).endswith(b"\r\n"):
            size = int(_match(_CHUNK_SIZE, line)[0], 16)
            piece = await self._exactly(size + 2)
            body += piece[:size]
            if len(piece) < size + 2:
                break
            assert piece.endswith(b"\r\n")
            if size == 0:
                return body, True
        return body, False

    async def _to_the_end(self) -> tuple[bytes, bool]:
        body = b""
        try:
            while piece := await self.reader.read(65536):
                body += piece
        except ConnectionError:
            return body, False
        return body, True

    async def _until(self, end: bytes) -> bytes:
        try:
            return await self.reader.readuntil(end)
        except asyncio.IncompleteReadError as error:
            return error.partial
        except ConnectionError:
            return b""

    async def _exactly(self, count: int) -> bytes:
        try:
            return await self.reader.readexactly(count)
        except asyncio.IncompleteReadError as error:
            return error.partial
        except ConnectionError:
            return b""


def _match(pattern: re.Pattern[bytes], line: bytes) -> re.Match[bytes]:
    found = pattern.fullmatch(line)
    assert found, line
    return found


@contextlib.asynccontextmanager
async def strict_client(proxy: Address) -> AsyncIterator[StrictClient]:
    """A connection that lasts as long as the block."""
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    try:
        yield StrictClient(reader, writer)
    finally:
        raw_client.abort(writer)


def post(body: bytes = b"", *headers: str, path: str = "/predict", version: str = "1.1") -> bytes:
    """A request with a length."""
    lines = [f"POST {path} HTTP/{version}", "Host: proxy", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def post_chunked(*chunks: bytes, headers: tuple[str, ...] = ()) -> bytes:
    """The same in these chunks."""
    lines = ["POST /predict HTTP/1.1", "Host: proxy", "Transfer-Encoding: chunked", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + in_chunks(*chunks)


def in_chunks(*chunks: bytes) -> bytes:
    """A whole body in these chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
