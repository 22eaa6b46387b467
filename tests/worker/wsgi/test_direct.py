"""What came of one run goes to each of its clients, whatever happens to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from structlog.testing import capture_logs

from tfleet.httpd.http1.request import read_request_head
from tfleet.worker.wsgi.direct import DirectPath, DirectRequest, Done, Outcome
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
