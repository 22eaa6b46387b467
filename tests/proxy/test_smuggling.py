"""Requests that two readers could understand in two ways: refused, and nothing of them reaches a worker."""

from collections.abc import AsyncIterator

import pytest

from tests.proxy.raw import raw_client
from tests.proxy.stand_in import StandIn, settings, stand_in
from tfleet.contract.address import Address
from tfleet.proxy.server import running

SMUGGLED = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
EMPTY_CHUNKS = b"\r\n\r\n0\r\n\r\n" + SMUGGLED


def post(*lines: bytes, body: bytes = b"\r\n\r\nabcd" + SMUGGLED, version: bytes = b"HTTP/1.1") -> bytes:
    return b"\r\n".join([b"POST / " + version, b"Host: a", *lines]) + body


REFUSED = {
    # two ideas of where the body ends (RFC 9112 section 6.3)
    "a length beside chunks": post(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=EMPTY_CHUNKS),
    "chunks beside a length": post(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=EMPTY_CHUNKS),
    "two different lengths": post(b"Content-Length: 4", b"Content-Length: 5"),
    "the same length twice": post(b"Content-Length: 4", b"Content-Length: 4"),
    "a list of lengths": post(b"Content-Length: 4, 4"),
    "a length with a sign": post(b"Content-Length: +4"),
    "a negative length": post(b"Content-Length: -4"),
    "a hexadecimal length": post(b"Content-Length: 0x4"),
    "a length that overflows": post(b"Content-Length: 99999999999999999999999"),
    "an empty length": post(b"Content-Length: "),
    "a space before the colon of a length": post(b"Content-Length : 4"),
    # transfer codings that one side knows and the other doesn't
    "an unknown transfer coding": post(b"Transfer-Encoding: xchunked", body=EMPTY_CHUNKS),
    "a coding before chunked": post(b"Transfer-Encoding: gzip, chunked", body=EMPTY_CHUNKS),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked", body=EMPTY_CHUNKS),
    "chunked in two headers": post(
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=EMPTY_CHUNKS
    ),
    "chunked and then not": post(
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=EMPTY_CHUNKS
    ),
    "chunked, but not last": post(b"Transfer-Encoding: chunked, identity", body=EMPTY_CHUNKS),
    "chunked with a parameter": post(b"Transfer-Encoding: chunked;q=1", body=EMPTY_CHUNKS),
    "chunked behind a vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=EMPTY_CHUNKS),
    "chunked on the next line": post(b"Transfer-Encoding:", b" chunked", body=EMPTY_CHUNKS),
    "chunks in HTTP/1.0": post(b"Transfer-Encoding: chunked", body=EMPTY_CHUNKS, version=b"HTTP/1.0"),
    # chunks that are none
    "a chunk size of letters": post(b"Transfer-Encoding: chunked", body=b"\r\n\r\nZZ\r\nabcd\r\n0\r\n\r\n"),
    "a chunk size with 0x": post(b"Transfer-Encoding: chunked", body=b"\r\n\r\n0x4\r\nabcd\r\n0\r\n\r\n"),
    "a negative chunk size": post(b"Transfer-Encoding: chunked", body=b"\r\n\r\n-4\r\nabcd\r\n0\r\n\r\n"),
    "a chunk size that overflows": post(
        b"Transfer-Encoding: chunked", body=b"\r\n\r\nfffffffffffffffff\r\nabcd\r\n0\r\n\r\n"
    ),
    "chunk lines that end in LF alone": post(b"Transfer-Encoding: chunked", body=b"\r\n\r\n4\nabcd\n0\n\n"),
    "a chunk longer than its size": post(b"Transfer-Encoding: chunked", body=b"\r\n\r\n4\r\nabcdXX0\r\n\r\n"),
    "a chunk extension with LF": post(
        b"Transfer-Encoding: chunked", body=b"\r\n\r\n4;a\nb\r\nabcd\r\n0\r\n\r\n"
    ),
    "a trailer with a bad name": post(
        b"Transfer-Encoding: chunked", body=b"\r\n\r\n4\r\nabcd\r\n0\r\nX Y: b\r\n\r\n"
    ),
    # lines and names (RFC 9112 sections 2.2 and 5)
    "a folded line": post(b"X-A: b", b" c", b"Content-Length: 4"),
    "a space before the first header": b"POST / HTTP/1.1\r\n Host: a\r\nContent-Length: 4\r\n\r\nabcd",
    "a space in a name": post(b"X A: b", b"Content-Length: 4"),
    "a bracket in a name": post(b"X(A: b", b"Content-Length: 4"),
    "a letter beyond ASCII in a name": post("X\u00e9: b".encode(), b"Content-Length: 4"),
    "an empty name": post(b": b", b"Content-Length: 4"),
    "a line without a colon": post(b"foo", b"Content-Length: 4"),
    "NUL in a value": post(b"X: a\x00b", b"Content-Length: 4"),
    "CR in a value": post(b"X: a\rb", b"Content-Length: 4"),
    "a control character in a value": post(b"X: a\x01b", b"Content-Length: 4"),
    "lines that end in LF alone": b"POST / HTTP/1.1\nHost: a\nContent-Length: 4\n\nabcd",
    "one line that ends in LF alone": b"POST / HTTP/1.1\r\nHost: a\nX: b\r\nContent-Length: 4\r\n\r\nabcd",
    # whom it is for
    "no host": b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd",
    "two hosts": post(b"Host: b", b"Content-Length: 4"),
    "a host that is none": b"POST / HTTP/1.1\r\nHost: a b/c\r\nContent-Length: 4\r\n\r\nabcd",
    # the request line
    "a space in the target": b"POST /a b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd",
    "NUL in the target": b"POST /a\x00b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd",
    "a target beyond ASCII": "POST /\u00e9 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd".encode(),
    "an asterisk for a target": b"POST * HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd",
    "no version": b"POST /\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd",
    "an unknown version": post(b"Content-Length: 4", version=b"HTTP/1.2"),
    "the next version": post(b"Content-Length: 4", version=b"HTTP/2.0"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a method in lower case": b"post / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd",
    "a bracket in the method": b"P(ST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 50 + b"\r\n\r\n",
    # sizes
    "a target of 9,000 bytes": b"POST /"
    + b"a" * 9000
    + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd",
    "a header of 9,000 bytes": post(b"X: " + b"a" * 9000, b"Content-Length: 4"),
    "200 headers": post(*[b"X: a"] * 200, b"Content-Length: 4"),
    "a head of 80,000 bytes": post(*[b"X: " + b"a" * 8000] * 10, b"Content-Length: 4"),
    "a head of 800,000 bytes": post(*[b"X: " + b"a" * 8000] * 100, b"Content-Length: 4"),
}


@pytest.fixture
async def proxied() -> AsyncIterator[tuple[Address, StandIn]]:
    async with stand_in() as worker, running(settings(worker)) as proxy:
        yield proxy, worker


@pytest.mark.parametrize("request_bytes", REFUSED.values(), ids=REFUSED)
async def test_it_is_refused_with_400_and_the_connection_closed(
    proxied: tuple[Address, StandIn], request_bytes: bytes
) -> None:
    proxy, worker = proxied
    async with raw_client(proxy) as client:
        await client.send(request_bytes)
        refusal = await client.answer()
        assert refusal.status == 400
        assert refusal.problem()["detail"]
        assert refusal.headers["x-request-id"]
        assert await client.ends() == b"", "what follows is not answered"
    assert worker.seen == []


READ = {
    "chunked in capitals": post(b"Transfer-Encoding: CHUNKED", body=b"\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"),
    "chunks with an extension": post(
        b"Transfer-Encoding: chunked", body=b"\r\n\r\n4;a=b\r\nabcd\r\n0\r\n\r\n"
    ),
    "empty lines before": b"\r\n\r\n" + post(b"Content-Length: 4", body=b"\r\n\r\nabcd"),
    "a whole URL": b"POST http://b/ HTTP/1.1\r\nHost: b\r\nContent-Length: 4\r\n\r\nabcd",
    "HTTP/1.0 without a host": b"POST / HTTP/1.0\r\nContent-Length: 4\r\n\r\nabcd",
    "an address for a host": b"POST / HTTP/1.1\r\nHost: [::1]:12480\r\nContent-Length: 4\r\n\r\nabcd",
    "an upgrade that nobody wants": post(
        b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 4", body=b"\r\n\r\nabcd"
    ),
}


@pytest.mark.parametrize("request_bytes", READ.values(), ids=READ)
async def test_unusual_but_valid_requests_are_accepted(
    proxied: tuple[Address, StandIn], request_bytes: bytes
) -> None:
    proxy, worker = proxied
    async with raw_client(proxy) as client:
        await client.send(request_bytes)
        assert (await client.answer()).status == 200
    assert [(seen.path, seen.body) for seen in worker.seen] == [("/", b"abcd")]
