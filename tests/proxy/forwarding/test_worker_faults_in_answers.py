"""Faults of a worker in the middle of an answer, byte for byte, when there is no way back.

The client's connection breaks off hard, so that half an answer never looks like a whole one, and the proxy
says why. A worker that breaks off is ejected, and one that stalls is probed: these say that they are ready.
"""

import pytest
from structlog.testing import capture_logs

from tests.support.fake_worker import fake_worker, settings
from tests.support.proxy_invariants import assert_at_rest, metric, rows
from tests.support.scripted_worker import Step, hang, read, reset, scripted_worker, wait, without_end
from tests.support.strict_client import StrictClient, post, strict_client
from tfleet.proxy.server import single_process_proxy

# A proxy and workers for each of many cases: the whole takes seconds.
pytestmark = pytest.mark.process

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = OK + b"Content-Length: 100\r\n\r\n0123456789"
CHUNK = OK + b"Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n"
HALF_A_CHUNK = OK + b"Transfer-Encoding: chunked\r\n\r\n64\r\n0123456789"
NO_LENGTH = OK + b"\r\n0123456789"

# What comes through at first, and what follows it.
FAULTS: dict[str, tuple[bytes, tuple[Step, ...]]] = {
    "closes in a body with a length": (LENGTH, ()),
    "resets in a body with a length": (LENGTH, (reset,)),
    "closes one byte before the end": (LENGTH, (b"x" * 89,)),
    "closes in a chunk": (HALF_A_CHUNK, ()),
    "resets in a chunk": (HALF_A_CHUNK, (reset,)),
    "closes between chunks": (CHUNK, ()),
    "resets between chunks": (CHUNK, (reset,)),
    "closes in a chunk size": (CHUNK, (b"a",)),
    "closes before the last chunk's end": (CHUNK, (b"0\r\n",)),
    "closes in a trailer": (CHUNK, (b"0\r\nA: b",)),
    "has a chunk size of letters": (CHUNK, (b"zz\r\nabc\r\n0\r\n\r\n", hang)),
    "has a negative chunk size": (CHUNK, (b"-1\r\nabc\r\n0\r\n\r\n", hang)),
    "has a chunk size that overflows": (CHUNK, (b"fffffffffffffffff\r\nabc\r\n", hang)),
    "has no chunk size at all": (CHUNK, (b"\r\nabc\r\n0\r\n\r\n", hang)),
    "has a chunk that is longer than it says": (CHUNK, (b"1\r\nabc\r\n0\r\n\r\n", hang)),
    "has another answer for a chunk": (CHUNK, (OK + b"Content-Length: 0\r\n\r\n", hang)),
    "has a broken trailer": (CHUNK, (b"0\r\nA B: c\r\n\r\n", hang)),
    "has a chunk extension without end": (CHUNK, (b"1;", without_end(b"a" * 10000))),
    "has more trailers than are read": (CHUNK, (b"0\r\n" + b"A: b\r\n" * 1000 + b"\r\n", hang)),
    "has trailers without end": (CHUNK, (b"0\r\n", without_end(b"A: b\r\n" * 100))),
    "resets where there is no length": (NO_LENGTH, (reset,)),
}

STALLS = {
    "stalls in a body with a length": LENGTH,
    "stalls in a chunk": HALF_A_CHUNK,
    "stalls where there is no length": NO_LENGTH,
}
ALL = {name: (*fault, 5.0) for name, fault in FAULTS.items()}
ALL |= {name: (beginning, (hang,), 0.4) for name, beginning in STALLS.items()}


async def _first_bytes(client: StrictClient) -> bytes:
    """The head of an answer and ten bytes of its body, which are there."""
    head = await client.reader.readuntil(b"\r\n\r\n")
    if b"chunked" in head:
        await client.reader.readuntil(b"\r\n")
    assert await client.reader.readexactly(10) == b"0123456789"
    return head


@pytest.mark.parametrize(("beginning", "fault", "try_timeout_s"), ALL.values(), ids=ALL.keys())
async def test_a_broken_answer_resets_the_clients_connection(
    beginning: bytes, fault: tuple[Step, ...], try_timeout_s: float
) -> None:
    async with scripted_worker(read, beginning, wait, *fault) as bad, fake_worker() as good:
        async with single_process_proxy(settings(bad.address, good, try_timeout_s=try_timeout_s)) as proxy:
            with capture_logs() as logs:
                async with strict_client(proxy) as client:
                    await client.send(post(b"x", "X-Request-Id: mine"))
                    head = await _first_bytes(client)
                    assert head.startswith(b"HTTP/1.1 200 ")
                    bad.go_on.set()
                    rest = await client.ends()
                    assert b"0\r\n" not in rest, "no last chunk"
                    assert b"\r\nHTTP/1.1" not in rest, "nothing looks like another answer"
                    assert len(rest) < 90
            (said,) = [line for line in logs if line["event"] == "answer broken off"]
            assert (said["request_id"], said["worker"]) == ("mine", str(bad.address))
            assert ("makes no progress" in said["error"]) is (try_timeout_s < 1.0)
            assert "\n" not in said["error"]
            assert await metric(proxy, "tfleet_proxy_broken_answers_total") == 1
            ejected = try_timeout_s >= 1.0
            assert [(row["state"], row["failures"]) for row in await rows(proxy)] == [
                ("ejected", 1) if ejected else ("ready", 0),
                ("ready", 0),
            ]
            async with strict_client(proxy) as client:
                await client.send(post(b"x"))
                assert (await client.whole()).headers["x-worker"] == str(good.address)
            await assert_at_rest(proxy, bad)
            assert len(bad.lines) == 1


async def test_the_access_log_tells_who_broke_off() -> None:
    """The worker, or the client."""
    async with scripted_worker(read, LENGTH) as bad, single_process_proxy(settings(bad.address)) as proxy:
        with capture_logs() as logs:
            async with strict_client(proxy) as client:
                await client.send(post(b"x"))
                await client.ends()
            await assert_at_rest(proxy, bad)
        assert [line["status"] for line in logs if line.get("path") == "/predict"] == [502]


@pytest.mark.parametrize("fault", [(), (reset,)], ids=["close", "reset"])
async def test_an_http_1_0_client_can_detect_a_cut_answer(fault: tuple[Step, ...]) -> None:
    """It has no chunks: a whole answer without a length ends with FIN, a broken one must not."""
    async with (
        scripted_worker(read, CHUNK, wait, *fault) as bad,
        single_process_proxy(settings(bad.address)) as proxy,
    ):
        async with strict_client(proxy) as client:
            await client.send(post(b"x", version="1.0"))
            await client.reader.readuntil(b"\r\n\r\n")
            bad.go_on.set()
            with pytest.raises(ConnectionResetError):
                await client.reader.read()
        await assert_at_rest(proxy, bad)
