"""Answers that are unusual and right: the client gets what they mean, framed for it."""

import random

import pytest

from tests.support.fake_worker import settings
from tests.support.proxy_invariants import states
from tests.support.scripted_worker import Step, dripping, half_close, hang, read, scripted_worker
from tests.support.strict_client import in_chunks, post, strict_client
from tfleet.proxy.server import single_process_proxy

# A proxy and workers for each of many cases: the whole takes seconds.
pytestmark = pytest.mark.process

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
NOISE = random.Random(1).randbytes(1_000_000)
ODD_SIZES = [1, 2, 15, 16, 17, 255, 256, 4095, 65536, 65537, 99_999]


def odd_chunks(body: bytes) -> list[bytes]:
    chunks: list[bytes] = []
    at = 0
    while at < len(body):
        size = ODD_SIZES[len(chunks) % len(ODD_SIZES)]
        chunks.append(body[at : at + size])
        at += size
    return chunks


# What the worker says, and what the client sees of it: status and body.
ANSWERS: dict[str, tuple[tuple[Step, ...], int, bytes]] = {
    "ends with its connection": ((OK + b"\r\nabc",), 200, b"abc"),
    "ends with a half-close": ((OK + b"\r\nabc", half_close, hang), 200, b"abc"),
    "ends with its connection, and is empty": ((OK + b"\r\n",), 200, b""),
    "ends with its connection, and is large": ((OK + b"\r\n" + NOISE,), 200, NOISE),
    "is HTTP/1.0": ((b"HTTP/1.0 200 OK\r\n\r\nabc",), 200, b"abc"),
    "is HTTP/1.0 and keeps the connection": (
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc", hang),
        200,
        b"abc",
    ),
    "is closed at once though it has a length": ((OK + b"Content-Length: 3\r\n\r\nabc",), 200, b"abc"),
    "is empty": ((OK + b"Content-Length: 0\r\n\r\n", hang), 200, b""),
    "has one empty chunk": ((CHUNKED + in_chunks(), hang), 200, b""),
    "has chunks of odd sizes": ((CHUNKED + in_chunks(*odd_chunks(NOISE)), hang), 200, NOISE),
    "has chunk sizes in capitals with zeros": (
        (CHUNKED + b"00A\r\n0123456789\r\n000\r\n\r\n",),
        200,
        b"0123456789",
    ),
    "has chunk extensions": ((CHUNKED + b'3;a;b="c"\r\nabc\r\n0;d\r\n\r\n', hang), 200, b"abc"),
    "has its coding in capitals": (
        (OK + b"TRANSFER-ENCODING: Chunked\r\n\r\n" + in_chunks(b"abc"), hang),
        200,
        b"abc",
    ),
    "has no reason": ((b"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc", hang), 200, b"abc"),
    "has an unknown status": ((b"HTTP/1.1 499 \r\nContent-Length: 3\r\n\r\nabc", hang), 499, b"abc"),
    "is 204": ((b"HTTP/1.1 204 No Content\r\n\r\n", hang), 204, b""),
    "is 204 with a length": ((b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", hang), 204, b""),
    "is 304 with a length": ((b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", hang), 304, b""),
    "is 205": ((b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", hang), 205, b""),
    "comes after interim ones": (
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK + b"Content-Length: 3\r\n\r\nabc",
            hang,
        ),
        200,
        b"abc",
    ),
}


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize(("script", "status", "body"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_unusual_but_valid_answers_reach_the_client(
    script: tuple[Step, ...], status: int, body: bytes, version: str
) -> None:
    async with (
        scripted_worker(read, *script) as worker,
        single_process_proxy(settings(worker.address)) as proxy,
    ):
        async with strict_client(proxy) as client:
            await client.send(post(b"x", version=version))
            answer = await client.whole()
            assert (answer.status, answer.body) == (status, body)
            assert answer.interim == ()
            assert answer.headers["x-retries"] == "0"
            if version == "1.0":
                assert "transfer-encoding" not in answer.headers
                assert await client.ends() == b""
        assert await states(proxy) == ["ready"]


@pytest.mark.parametrize(("script", "status", "body"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_the_split_of_the_bytes_does_not_matter_for_an_answer(
    script: tuple[Step, ...], status: int, body: bytes
) -> None:
    drips = [dripping(step, 0) if isinstance(step, bytes) and len(step) < 1000 else step for step in script]
    async with (
        scripted_worker(read, *drips) as worker,
        single_process_proxy(settings(worker.address)) as proxy,
    ):
        async with strict_client(proxy) as client:
            await client.send(post(b"x"))
            answer = await client.whole()
            assert (answer.status, answer.body) == (status, body)


async def test_a_body_that_drips_makes_progress() -> None:
    """Each byte is one, in chunks or not: only the time between them counts."""
    async with scripted_worker(read, CHUNKED, dripping(in_chunks(b"abc", b"def"), 0.04), hang) as worker:
        async with single_process_proxy(settings(worker.address, try_timeout_s=0.5)) as proxy:
            async with strict_client(proxy) as client:
                await client.send(post(b"x"))
                assert (await client.whole()).body == b"abcdef"
            assert await states(proxy) == ["ready"]


async def test_headers_keep_their_order_and_repetitions() -> None:
    lines = b"Set-Cookie: a=1\r\nX-One: \t 1 \r\nset-cookie: b=2\r\nX-Empty:\r\nX-Utf-8: caf\xc3\xa9\r\n"
    async with scripted_worker(read, OK + lines + b"Content-Length: 0\r\n\r\n", hang) as worker:
        async with single_process_proxy(settings(worker.address)) as proxy, strict_client(proxy) as client:
            await client.send(post(b"x"))
            found = (await client.whole()).lines
            assert [pair for pair in found if pair[0] in {"set-cookie", "x-one", "x-empty", "x-utf-8"}] == [
                ("set-cookie", b"a=1"),
                ("x-one", b"1"),
                ("set-cookie", b"b=2"),
                ("x-empty", b""),
                ("x-utf-8", "café".encode()),
            ]


async def test_a_non_utf_8_value_passes_unchanged_or_not_at_all() -> None:
    async with scripted_worker(read, OK + b"X: caf\xe9\r\nContent-Length: 0\r\n\r\n", hang) as worker:
        async with single_process_proxy(settings(worker.address)) as proxy, strict_client(proxy) as client:
            await client.send(post(b"x", "Y: dummy").replace(b"dummy", b"caf\xe9"))
            answer = await client.whole()
            assert [value for name, value in answer.lines if name == "x"] in ([], [b"caf\xe9"])
            assert worker.requests[0].all(b"y") in ([], [b"caf\xe9"])


async def test_trailers_are_dropped_and_what_announces_them_too() -> None:
    head = OK + b"Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = head + b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
    async with scripted_worker(read, answer, read, answer, hang) as worker:
        async with single_process_proxy(settings(worker.address)) as proxy, strict_client(proxy) as client:
            for _ in range(2):
                await client.send(post(b"x"))
                found = await client.whole()
                assert found.body == b"abc"
                assert not {"trailer", "x-sum"} & set(found.headers)
            assert len(worker.lines) == 1, "and the connection is fit for the next request"
