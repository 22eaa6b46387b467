"""What one turn of the loop reads; and what came of a run goes to each of its clients."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from structlog.testing import capture_logs

from tfleet.httpd.http1.request import read_request_head
from tfleet.worker.wsgi.direct import MOST_BYTES, TURN_BYTES, DirectPath, DirectRequest, Done, Outcome
from tfleet.worker.wsgi.response import WsgiResponse

ANSWER = WsgiResponse(b"HTTP/1.1 200 OK\r\n", (b"{}",))
HEAD = read_request_head(b"POST /predict HTTP/1.1\r\nHost: a\r\n")


class OneRun:
    """Answers all that it gets at once."""

    def takes(self, request: DirectRequest) -> bool:
        return True

    def read(self, request: DirectRequest) -> Any:
        return None

    def run(self, requests: Sequence[tuple[DirectRequest, Any]], done: Done) -> None:
        done([(request, ANSWER) for request, _ in requests])


async def test_an_answer_that_cannot_be_sent_takes_no_other_along() -> None:
    path, settled, ended = DirectPath(OneRun(), asyncio.get_running_loop()), list[int](), asyncio.Event()

    def request(number: int) -> DirectRequest:
        def settle(outcome: Outcome) -> None:
            if number == 0:
                raise OSError("the client has gone")
            settled.append(number)
            if number == 3:
                ended.set()

        return DirectRequest(HEAD, "/predict", None, b"{}", 0.0, 0.0, lambda: False, settle)

    with capture_logs() as logs:
        for number in range(4):
            path.begin(request(number))
        await asyncio.wait_for(ended.wait(), 10)
    assert settled == [1, 2, 3]
    assert [line["event"] for line in logs] == ["an answer was not sent"]


class Reader(OneRun):
    """Notes which turn of the loop reads each body; `turn` is counted by the test."""

    def __init__(self) -> None:
        self.turn = 0
        self.read_in: list[tuple[int, DirectRequest]] = []

    def read(self, request: DirectRequest) -> Any:
        self.read_in.append((self.turn, request))
        if request.body.startswith(b"bad"):
            raise ValueError("no JSON")


async def test_one_turn_reads_no_more_than_its_share() -> None:
    loop, reader, left = asyncio.get_running_loop(), Reader(), 40
    path, settled, ended = DirectPath(reader, loop), list[tuple[int, Outcome]](), asyncio.Event()

    def request(number: int) -> DirectRequest:
        def settle(outcome: Outcome) -> None:
            settled.append((number, outcome))
            if len(settled) == left:
                ended.set()

        body = (b"bad" if number == 20 else b"[1]").ljust(MOST_BYTES)
        return DirectRequest(HEAD, "/predict", None, body, 0.0, 0.0, lambda: False, settle)

    def next_turn() -> None:
        reader.turn += 1
        if not ended.is_set():
            loop.call_soon(next_turn)

    loop.call_soon(next_turn)
    requests = [request(number) for number in range(left)]
    for each in requests:
        path.begin(each)
    await asyncio.wait_for(ended.wait(), 10)
    assert [each for _, each in reader.read_in] == requests, "in the order that they came"
    bodies = Counter(turn for turn, _ in reader.read_in)
    assert set(bodies.values()) == {TURN_BYTES // MOST_BYTES}
    assert sorted(number for number, _ in settled) == list(range(left)), "each is answered once"
    assert [number for number, outcome in settled if isinstance(outcome, ValueError)] == [20]
