"""What clients may do, at every server: pipelining, chunks of any size, expectations, HTTP/1.0."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.httpd.servers import ServerFactory, ServerOptions, bare_server
from tests.support.raw_client import raw_client
from tests.support.strict_client import StrictClient, in_chunks, post, post_chunked, strict_client

NOISE = random.Random(3).randbytes(70_000)
ODD = [NOISE[:1], NOISE[1:16], NOISE[16:272], NOISE[272:4368], NOISE[4368:]]
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED_HEAD = post_chunked()[: -len(in_chunks())]


async def test_a_request_may_come_byte_by_byte(serving: ServerFactory) -> None:
    async with serving(ServerOptions()) as server, strict_client(server.address) as client:
        for value in post_chunked(b"abc", b"de"):
            await client.send(bytes([value]))
            await asyncio.sleep(0)
        assert (await client.whole()).status == 200
        assert server.bodies() == [b"abcde"]


async def test_requests_in_one_piece_are_answered_in_order(serving: ServerFactory) -> None:
    bodies = [b"%d" % number * 1000 for number in range(20)]
    requests = [post(body) if number % 2 else post_chunked(body) for number, body in enumerate(bodies)]
    async with serving(ServerOptions()) as server, strict_client(server.address) as client:
        await client.send(b"".join(requests))
        for _ in bodies:
            assert (await client.whole()).status == 200
        assert server.bodies() == bodies


@pytest.mark.parametrize(
    ("chunks", "body"),
    [
        (in_chunks(*ODD), NOISE),
        (in_chunks(*[NOISE[at : at + 1] for at in range(300)]), NOISE[:300]),
        (in_chunks(), b""),
        (b'3;name="a;b";c\r\nabc\r\n00002;d\r\nde\r\n0;last\r\n\r\n', b"abcde"),
        (b"a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n", b"0123456789" * 2),
        (b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Forwarded-For: evil\r\n\r\n", b"abc"),
    ],
    ids=["odd sizes", "one byte each", "none", "extensions", "capitals and zeros", "trailers"],
)
async def test_chunks_are_one_body(serving: ServerFactory, chunks: bytes, body: bytes) -> None:
    async with serving(ServerOptions()) as server, strict_client(server.address) as client:
        for _ in range(2):  # the second one shows that the first one ended where it should
            await client.send(CHUNKED_HEAD + chunks)
            assert (await client.whole()).status == 200
        assert server.bodies() == [body, body]


@pytest.mark.parametrize(
    "chunks",
    [b"3e9\r\n", b"1\r\na\r\n3e8;x\r\n", b"ffffffffffffff\r\nabc", b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\n"],
)
async def test_a_chunk_size_over_the_limit_is_413(serving: ServerFactory, chunks: bytes) -> None:
    """At once: the client need not send what is refused anyway."""
    async with serving(ServerOptions(max_body_bytes=1000)) as server, raw_client(server.address) as client:
        await client.send(CHUNKED_HEAD)
        await asyncio.sleep(0)
        await client.send(chunks)
        refusal = await client.answer()
        assert (refusal.status, refusal.headers["connection"]) == (413, "close")
        assert await client.ends() == b""
        assert server.bodies() == []


async def test_a_chunk_size_with_its_head_is_413_too(serving: ServerFactory) -> None:
    async with serving(ServerOptions(max_body_bytes=1000)) as server, raw_client(server.address) as client:
        await client.send(CHUNKED_HEAD + b"3e9\r\n")
        assert (await client.answer()).status == 413
        assert await client.ends() == b""


async def test_chunks_up_to_the_limit_are_served(serving: ServerFactory) -> None:
    async with serving(ServerOptions(max_body_bytes=1000)) as server, strict_client(server.address) as client:
        await client.send(CHUNKED_HEAD + b"1\r\na\r\n3e7\r\n")
        await client.send(b"x" * 999 + b"\r\n0\r\n\r\n")
        assert (await client.whole()).status == 200
        assert server.bodies() == [b"a" + b"x" * 999]


async def test_a_client_that_waits_gets_100_continue(serving: ServerFactory) -> None:
    request = post(NOISE, "Expect: 100-continue")
    async with serving(ServerOptions()) as server, strict_client(server.address) as client:
        await client.send(request[: -len(NOISE)])
        async with asyncio.timeout(10):
            assert await client.reader.readexactly(len(CONTINUE)) == CONTINUE
        await client.send(NOISE)
        assert (await client.whole()).status == 200
        assert server.bodies() == [NOISE]


async def test_an_http_1_0_client_gets_no_100_continue(serving: ServerFactory) -> None:
    """It would take 100 for the response (RFC 9110 section 10.1.1)."""
    async with serving(ServerOptions()) as server, strict_client(server.address) as client:
        await client.send(post(b"x", "Expect: 100-continue", version="1.0"))
        answer = await client.whole()
        assert (answer.status, answer.interim) == (200, ())


async def test_http_1_0_ends_the_connection(serving: ServerFactory) -> None:
    async with serving(ServerOptions()) as server, raw_client(server.address) as client:
        await client.send(post(b"x", version="1.0"))
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await client.ends() == b""


async def test_http_1_0_may_keep_the_connection(serving: ServerFactory) -> None:
    async with serving(ServerOptions()) as server, raw_client(server.address) as client:
        for _ in range(2):
            await client.send(post(b"x", "Connection: keep-alive", version="1.0"))
            answer = await client.answer()
            assert (answer.status, answer.headers["connection"].lower()) == (200, "keep-alive")


async def test_a_connection_that_is_to_close_serves_nothing_more(serving: ServerFactory) -> None:
    async with serving(ServerOptions()) as server, raw_client(server.address) as client:
        await client.send(post(b"x", "Connection: close") + post(b"y"))
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await client.ends() == b""
        assert server.bodies() == [b"x"]


async def test_a_client_that_leaves_in_its_body_is_not_served(serving: ServerFactory) -> None:
    async with serving(ServerOptions()) as server:
        async with raw_client(server.address) as client:
            await client.send(post(NOISE)[:50_000])
        async with raw_client(server.address) as client:
            await client.send(post(b"next"))
            assert (await client.answer()).status == 200
        assert server.bodies() == [b"next"]


async def test_a_half_closed_client_gets_all_its_answers(serving: ServerFactory) -> None:
    bodies = [b"%d" % number * 1000 for number in range(20)]
    async with serving(ServerOptions()) as server, strict_client(server.address) as client:
        await client.send(b"".join(map(post, bodies)))
        client.half_close()
        for _ in bodies:
            assert (await client.whole()).status == 200
        assert await client.ends() == b""
        assert server.bodies() == bodies


async def test_a_half_closed_client_gets_a_refusal_behind_answers(serving: ServerFactory) -> None:
    async with serving(ServerOptions()) as server, strict_client(server.address) as client:
        await client.send(post(b"x") + b"NONSENSE\r\n\r\n")
        client.half_close()
        assert (await client.whole()).status == 200
        assert (await client.whole()).status == 400
        assert await client.ends() == b""


async def test_half_a_request_before_a_half_close_is_not_served(serving: ServerFactory) -> None:
    async with serving(ServerOptions()) as server, strict_client(server.address) as client:
        await client.send(post(b"x") + post(b"abcd")[:-2])
        client.half_close()
        assert (await client.whole()).status == 200
        assert await client.ends() == b""
        assert server.bodies() == [b"x"]


async def test_a_connection_half_closed_in_a_body_is_disconnected(serving: ServerFactory) -> None:
    async with serving(ServerOptions()) as server:
        async with raw_client(server.address) as client:
            await client.send(post(NOISE)[:50_000])
            client.writer.write_eof()
            assert await client.ends() == b""
        assert server.bodies() == []


async def test_a_client_that_reads_no_answers_delays_no_other(serving: ServerFactory) -> None:
    async with serving(ServerOptions()) as server:
        async with strict_client(server.address) as greedy, strict_client(server.address) as other:
            sending = asyncio.ensure_future(greedy.send(post(NOISE) * 100))
            for _ in range(5):
                await other.send(post(b"other"))
                assert (await other.whole()).status == 200
            for _ in range(100):
                assert (await greedy.whole()).status == 200
            await sending
        assert server.bodies().count(NOISE) == 100


async def test_thousands_of_empty_lines_are_refused(serving: ServerFactory) -> None:
    async with serving(ServerOptions()) as server, raw_client(server.address) as client:
        await client.send(b"\r\n" * 100_000)
        assert (await client.answer()).status == 400
        assert await client.ends() == b""


@pytest.mark.parametrize("target", [b"*", b"http://a"])
async def test_options_of_the_server_are_told(serving: ServerFactory, target: bytes) -> None:
    async with serving(ServerOptions()) as server, strict_client(server.address) as client:
        if serving is bare_server:  # which leaves it to its handler
            return
        for _ in range(2):
            await client.send(b"OPTIONS %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
            answer = await client.whole()
            assert (answer.status, answer.body) == (200, b"")
            assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
            assert answer.headers["x-request-id"]
        await client.send(post(b"x"))
        assert (await client.whole()).status == 200


@pytest.mark.parametrize("target", [b"//healthz", b"///healthz", b"/%2fhealthz", b"http://a//healthz"])
async def test_a_second_slash_makes_another_path(serving: ServerFactory, target: bytes) -> None:
    if serving is bare_server:  # which has no paths
        return
    async with serving(ServerOptions()) as server, raw_client(server.address) as client:
        await client.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.answer()).status == 200
        await client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
        assert (await client.answer()).status == 404
        await client.send(b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" % target)
        assert (await client.answer()).status == 404


async def head_of_a_response(client: StrictClient) -> bytes:
    async with asyncio.timeout(10):
        return await client.reader.readuntil(b"\r\n\r\n")


async def test_an_error_response_to_head_has_no_body(serving: ServerFactory) -> None:
    """A client of HEAD takes a body for the next response."""
    async with serving(ServerOptions()) as server, strict_client(server.address) as client:
        for _ in range(2):
            await client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\nExpect: foo\r\n\r\n")
            head = await head_of_a_response(client)
            assert head.startswith((b"HTTP/1.1 417 ", b"HTTP/1.1 200 "))
            if b"connection: close" in head.lower():
                assert await client.ends() == b""
                return
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.whole()).status == 200


async def test_a_413_response_to_head_has_no_body(serving: ServerFactory) -> None:
    async with serving(ServerOptions()) as server, strict_client(server.address) as client:
        await client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n")
        if serving is not bare_server:  # which has no limit
            head = await head_of_a_response(client)
            assert head.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 200 "))
            assert await client.ends() == b""
