"""Faults of a worker before anything of its answer has gone to the client, byte for byte.

Where another worker is there, it answers, as if nothing had happened; alone it is a 502 that says what was
wrong. The connection of the faulty one is not used again. It is ejected by that one attempt, but for what may
be the body's fault: there a probe decides, and these say to a probe that they are ready.
"""

import contextlib
import hashlib

import pytest

from tests.support.fake_worker import fake_worker, settings
from tests.support.proxy_invariants import assert_at_rest, rows, states
from tests.support.scripted_worker import (
    ScriptedWorker,
    Step,
    dripping,
    hang,
    read,
    read_head,
    reset,
    scripted_worker,
    without_end,
)
from tests.support.strict_client import post, post_chunked, strict_client
from tfleet.proxy.server import single_process_proxy

# A proxy and a worker for each of many cases: the whole takes seconds.
pytestmark = pytest.mark.process

BODY = bytes(range(256)) * 270
"""More than one piece, and less than is kept for sending it again."""

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: 3\r\n"
ABC = b"\r\nabc"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

HANGS_UP: dict[str, tuple[Step, ...]] = {
    "closes at once": (),
    "resets at once": (reset,),
    "closes after the head of the request": (read_head,),
    "resets after the head of the request": (read_head, reset),
    "closes before its answer": (read,),
    "resets before its answer": (read, reset),
}

BREAKS_OFF = {
    "closes in its status line": (read, b"HTTP/1."),
    "resets in its status line": (read, b"HTTP/1.", reset),
    "closes in its head": (read, OK + b"Content-Le"),
    "resets in its head": (read, OK + b"Content-Le", reset),
    "closes before the end of its head": (read, OK + LENGTH),
    "closes after an interim answer": (read, b"HTTP/1.1 102 Processing\r\n\r\n"),
    "closes after a head with a length": (read, OK + LENGTH + b"\r\n"),
    "resets after a head with a length": (read, OK + LENGTH + b"\r\n", reset),
    "closes after a head that announces chunks": (read, CHUNKED),
    "resets after a head that announces chunks": (read, CHUNKED, reset),
    "closes in its first chunk size": (read, CHUNKED + b"3"),
    "closes before its first chunk": (read, CHUNKED + b"3\r\n"),
    "resets after a head without a length": (read, OK + b"\r\n", reset),
}


def answers(head: bytes, body: bytes = ABC) -> tuple[Step, ...]:
    return (read, head + body, hang)


# What is wrong, and what the 502 says of it.
UNREADABLE = {
    "speaks another protocol": (answers(b"SSH-2.0-OpenSSH_9.2\r\n", b""), "not an HTTP/1 response"),
    "speaks HTTP/0.9": (answers(b"<html>", b"abc</html>"), "not an HTTP/1 response"),
    "speaks HTTP/2": (answers(b"HTTP/2.0 200 OK\r\n" + LENGTH), "status line"),
    "speaks HTTP/1.2": (answers(b"HTTP/1.2 200 OK\r\n" + LENGTH), "status line"),
    "sends an empty line first": (answers(b"\r\n" + OK + LENGTH), "status line"),
    "has a status of two digits": (answers(b"HTTP/1.1 20 OK\r\n" + LENGTH), "status line"),
    "has a status of four digits": (answers(b"HTTP/1.1 2000 OK\r\n" + LENGTH), "status line"),
    "has the status 099": (answers(b"HTTP/1.1 099 OK\r\n" + LENGTH), "status line"),
    "has the status 600": (answers(b"HTTP/1.1 600 OK\r\n" + LENGTH), "status line"),
    "has a control character in its status line": (
        answers(b"HTTP/1.1 200 O\x01K\r\n" + LENGTH),
        "status line",
    ),
    "switches protocols": (
        answers(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n"),
        "switches",
    ),
    "has a lone CR in a header": (answers(OK + b"A: b\rSet-Cookie: evil=1\r\n" + LENGTH), "control"),
    "has a lone LF in a header": (answers(OK + b"A: b\nSet-Cookie: evil=1\r\n" + LENGTH), "control"),
    "has a lone LF behind an interim answer": (
        answers(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK + b"A: b\nSet-Cookie: evil=1\r\n" + LENGTH),
        "control",
    ),
    "ends its lines with LF": (answers(b"HTTP/1.1 200 OK\nContent-Length: 3\n", b"\nabc"), "without CR"),
    "has a NUL in a header": (answers(OK + b"A: b\x00c\r\n" + LENGTH), "control"),
    "has a control character in a header": (answers(OK + b"A: b\x1bc\r\n" + LENGTH), "control"),
    "has a folded line": (answers(OK + b"A: b\r\n c: d\r\n" + LENGTH), "folded"),
    "has a folded first line": (answers(OK + b" A: b\r\n" + LENGTH), "folded"),
    "has a space before a colon": (answers(OK + b"Content-Length : 3\r\n"), "an invalid header line"),
    "has a space in a name": (answers(OK + b"A B: c\r\n" + LENGTH), "an invalid header line"),
    "has no name before a colon": (answers(OK + b": a\r\n" + LENGTH), "an invalid header line"),
    "has no colon in a line": (answers(OK + b"nonsense\r\n" + LENGTH), "an invalid header line"),
    "has two lengths": (answers(OK + LENGTH + b"Content-Length: 2\r\n"), "more than one Content-Length"),
    "has the same length twice": (answers(OK + LENGTH + LENGTH), "more than one Content-Length"),
    "has a list of lengths": (answers(OK + b"Content-Length: 3, 3\r\n"), "Content-Length"),
    "has a negative length": (answers(OK + b"Content-Length: -3\r\n"), "Content-Length"),
    "has a length with a sign": (answers(OK + b"Content-Length: +3\r\n"), "Content-Length"),
    "has a hexadecimal length": (answers(OK + b"Content-Length: 0x3\r\n"), "Content-Length"),
    "has a length of letters": (answers(OK + b"Content-Length: abc\r\n"), "Content-Length"),
    "has an empty length": (answers(OK + b"Content-Length: \r\n"), "Content-Length"),
    "has a length that overflows": (
        answers(OK + b"Content-Length: 18446744073709551615\r\n"),
        "Content-Length",
    ),
    "has a length and chunks": (
        answers(OK + LENGTH + b"Transfer-Encoding: chunked\r\n", b"\r\n3\r\nabc\r\n0\r\n\r\n"),
        "both Transfer-Encoding and Content-Length",
    ),
    "has chunks and a length": (
        answers(OK + b"Transfer-Encoding: chunked\r\n" + LENGTH, b"\r\n3\r\nabc\r\n0\r\n\r\n"),
        "both Transfer-Encoding and Content-Length",
    ),
    "has another transfer coding": (answers(OK + b"Transfer-Encoding: gzip\r\n"), "not chunked"),
    "has another coding before chunked": (
        answers(OK + b"Transfer-Encoding: gzip, chunked\r\n", b"\r\n3\r\nabc\r\n0\r\n\r\n"),
        "not chunked",
    ),
    "has chunks in HTTP/1.0": (
        answers(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n", b"\r\n3\r\nabc\r\n0\r\n\r\n"),
        "Transfer-Encoding is not allowed here",
    ),
    "has chunks where there is no body": (
        answers(b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n", b"\r\n0\r\n\r\n"),
        "Transfer-Encoding is not allowed here",
    ),
    "has a chunk size of letters": (
        answers(CHUNKED, b"zz\r\nabc\r\n0\r\n\r\n"),
        "invalid chunk size",
    ),
    "has a negative chunk size": (answers(CHUNKED, b"-3\r\nabc\r\n0\r\n\r\n"), "invalid chunk size"),
    "has a chunk size that overflows": (
        answers(CHUNKED, b"fffffffffffffffff\r\nabc\r\n"),
        "invalid chunk size",
    ),
    "has chunk lines that end with LF": (answers(CHUNKED, b"3\nabc\n0\n\n"), "invalid chunk size"),
    "has a head that is too large": (
        answers(OK + b"".join(b"A-%d: %s\r\n" % (i, b"x" * 7000) for i in range(10)) + LENGTH),
        "over 65536 bytes",
    ),
    "has a header that is too long": (answers(OK + b"A: " + b"x" * 9000 + b"\r\n" + LENGTH), "bytes"),
    "has too many headers": (answers(OK + b"A: b\r\n" * 1000 + LENGTH), "more than 128 header lines"),
    "has a header without end": ((read, OK + b"A: ", without_end(b"x" * 1000)), "over 65536 bytes"),
    "has headers without end": ((read, OK, without_end(b"A: b\r\n" * 100)), "over 65536 bytes"),
    "makes interim answers without end": (
        (read, without_end(b"HTTP/1.1 102 Processing\r\n\r\n")),
        "over 16 interim answers",
    ),
    "has a status line without end": ((read, b"HTTP/1.1 200 ", without_end(b"x" * 1000)), "over 65536 bytes"),
}

STALLS = {
    "never takes the request": (hang,),
    "never answers": (read, hang),
    "never ends its head": (read, OK + b"A: b\r\n", hang),
    "never begins its body": (read, OK + LENGTH + b"\r\n", hang),
    "drips its head": (read, dripping(OK + b"A" * 100 + b": b\r\n", 0.02), hang),
}

FAULTS: dict[str, tuple[tuple[Step, ...], str, float, str]] = {
    **{name: (script, "without an answer", 5.0, "ready") for name, script in HANGS_UP.items()},
    **{name: (script, "", 5.0, "ejected") for name, script in BREAKS_OFF.items()},
    **{name: (*fault, 5.0, "ejected") for name, fault in UNREADABLE.items()},
    **{name: (script, "makes no progress", 0.4, "ready") for name, script in STALLS.items()},
}

each_fault = pytest.mark.parametrize(
    ("script", "reason", "try_timeout_s", "state"), FAULTS.values(), ids=FAULTS.keys()
)


@each_fault
async def test_a_failed_request_is_answered_by_another_worker(
    script: tuple[Step, ...], reason: str, try_timeout_s: float, state: str
) -> None:
    async with scripted_worker(*script) as bad, fake_worker() as good:
        async with single_process_proxy(settings(bad.address, good, try_timeout_s=try_timeout_s)) as proxy:
            async with strict_client(proxy) as client:
                await client.send(post(BODY, "Content-Type: image/jpeg"))
                answer = await client.whole()
                assert (answer.status, answer.headers["x-retries"]) == (200, "1")
                assert answer.headers["x-worker"] == str(good.address)
                assert hashlib.sha256(BODY).hexdigest().encode() in answer.body
                assert (good.seen[0].body, good.seen[0].headers["Content-Type"]) == (BODY, "image/jpeg")
                assert await states(proxy) == [state, "ready"]
                if state == "ejected":
                    await client.send(post(BODY))
                    assert (await client.whole()).headers["x-retries"] == "0"
            await assert_at_rest(proxy, bad)
            _used_once(bad)


@each_fault
async def test_a_failure_of_the_only_worker_is_502(
    script: tuple[Step, ...], reason: str, try_timeout_s: float, state: str
) -> None:
    async with scripted_worker(*script) as bad:
        async with single_process_proxy(settings(bad.address, try_timeout_s=try_timeout_s)) as proxy:
            async with strict_client(proxy) as client:
                await client.send(post(BODY))
                answer = await client.whole()
                assert answer.status == 502
                assert f"{bad.address}: " in answer.problem()["detail"]
                assert reason in answer.problem()["detail"]
                (row,) = await rows(proxy)
                assert (row["state"], row["failures"]) == (state, int(state == "ejected"))
                assert reason in row["last_error"] or state == "ready"
                assert "\n" not in row["last_error"], "one line"
            await assert_at_rest(proxy, bad)
            _used_once(bad)


def _used_once(worker: ScriptedWorker) -> None:
    assert len(worker.lines) == 1
    assert len(worker.requests) <= 1


@pytest.mark.parametrize("script", [(read_head,), (read_head, reset), (read, reset)])
async def test_a_body_in_chunks_is_sent_again_whole(script: tuple[Step, ...]) -> None:
    async with scripted_worker(*script) as bad, fake_worker() as good:
        async with single_process_proxy(settings(bad.address, good)) as proxy, strict_client(proxy) as client:
            await client.send(post_chunked(*(BODY[i : i + 999] for i in range(0, len(BODY), 999))))
            assert (await client.whole()).headers["x-retries"] == "1"
            assert good.seen[0].body == BODY


async def test_a_large_body_is_resent_whole_after_a_reset() -> None:
    body = BODY * 60

    async with scripted_worker(read_head, reset) as bad, fake_worker() as good:
        limits = settings(bad.address, good, replay_bytes=len(body), replay_total_bytes=len(body))
        async with single_process_proxy(limits) as proxy, strict_client(proxy) as client:
            await client.send(post(body))
            assert (await client.whole()).headers["x-retries"] == "1"
            assert good.seen[0].body == body


async def test_an_unreachable_worker_is_ejected_by_one_try() -> None:
    async with contextlib.AsyncExitStack() as leaving, fake_worker() as good:
        gone = await leaving.enter_async_context(scripted_worker())
        async with (
            single_process_proxy(settings(gone.address, good)) as proxy,
            strict_client(proxy) as client,
        ):
            await leaving.aclose()
            await client.send(post(BODY))
            assert (await client.whole()).headers["x-retries"] == "1"
            assert good.seen[0].body == BODY
            assert await states(proxy) == ["ejected", "ready"]
            await assert_at_rest(proxy)
