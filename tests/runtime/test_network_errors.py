from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import trustme

from tests.support.canned_server import canned, nobody
from tfleet.runtime.network_errors import plain_reason, speaks_no_tls

INTERNAL = re.compile(r"ssl:default|Errno|\[|\(|<|Error|localhost|127\.0\.0\.1|\n")


async def trouble(url: str, **how: Any) -> BaseException:
    """The error of a GET that goes wrong."""
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        try:
            async with session.get(url, **how) as answer:
                await answer.read()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return error
    raise AssertionError(f"{url} was answered")


@asynccontextmanager
async def tls_server() -> AsyncIterator[str]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    async def end(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(end, "127.0.0.1", 0, ssl=context) as server:
        yield "https://{}:{}".format(*server.sockets[0].getsockname())


def test_an_error_without_errno_keeps_its_text() -> None:
    assert plain_reason(OSError("Strange Trouble")) == "strange trouble"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_refused_connection_has_a_plain_reason(host: str) -> None:
    error = await trouble(f"http://{host}:{nobody().port}/")
    assert plain_reason(error) == "connection refused"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", "it closed the connection without a response"),
        (b"220 mail.example ESMTP\r\n", "the response is not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "the response was cut off"),
    ],
)
async def test_unusable_answers_have_a_plain_reason(said: bytes, reason: str) -> None:
    with canned(said) as address:
        assert plain_reason(await trouble(address.url)) == reason


async def test_a_server_without_tls_has_a_plain_reason() -> None:
    with canned(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        error = await trouble(f"https://{address}/")
    assert plain_reason(error) == "it does not speak TLS"
    assert speaks_no_tls(error)


async def test_an_untrusted_certificate_has_a_plain_reason() -> None:
    async with tls_server() as url:
        error = await trouble(url)
    assert plain_reason(error).startswith("its certificate is not trusted: ")
    assert not INTERNAL.search(plain_reason(error))
    assert not speaks_no_tls(error)


async def test_an_unknown_host_has_a_plain_reason() -> None:
    reason = plain_reason(await trouble("http://no-such-host.invalid/"))
    assert re.search("not known|no address|temporary failure", reason)


async def test_a_server_that_never_answers_has_a_plain_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        error = await trouble(url, timeout=aiohttp.ClientTimeout(total=0.05))
    assert plain_reason(error) == "the response timed out"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (aiohttp.ConnectionTimeoutError(), "the connection timed out"),
        (aiohttp.ClientConnectionResetError("Cannot write to closing transport"), "it closed"),
        (ConnectionResetError(104, "Connection reset by peer"), "connection reset by peer"),
        (TimeoutError(110, "Connect call failed ('10.0.0.1', 1)"), "connection timed out"),
        (UnicodeError("label too long"), "label too long"),
        (ValueError(), "ValueError"),
    ],
)
def test_other_errors_keep_their_own_text(error: BaseException, reason: str) -> None:
    assert plain_reason(error).startswith(reason)
