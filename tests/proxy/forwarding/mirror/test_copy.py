"""What is kept of a request and its answer for a copy: all of it or nothing, within the memory there is."""

from __future__ import annotations

import pytest

from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.httpd.http1.request import read_request_head
from tfleet.httpd.http1.response import ResponseHead, read_response_head
from tfleet.proxy.balancing.member import PoolMember
from tfleet.proxy.balancing.model_router import MirrorTurn
from tfleet.proxy.balancing.versions import ModelVersion
from tfleet.proxy.forwarding.mirror.compare import Answer
from tfleet.proxy.forwarding.mirror.copy import MirrorCopy, Origin, is_prediction
from tfleet.proxy.forwarding.replay_buffer import ReplayBudget, RequestBody

HEAD = read_request_head(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n")
TURN = MirrorTurn(ModelVersion("m", "1"), ModelVersion("m", "2"))
REQUEST = (b"abc", b"def")


def response(status: int = 200) -> ResponseHead:
    return read_response_head(b"HTTP/1.1 %d OK\r\nContent-Type: Text/CSV\r\nContent-Length: 4\r\n" % status)


def member(version: str = "1", *, stateful: bool = False) -> PoolMember:
    return PoolMember(Instance("w", Address("h", 1), "m", version, stateful=stateful))


def body(*, ended: bool = True, kept_bytes: int = 100) -> RequestBody:
    found = RequestBody(ReplayBudget(kept_bytes, kept_bytes), chunked=False)
    for piece in REQUEST:
        found.add(piece)
    found.ended = ended
    return found


def copy_in(memory: ReplayBudget) -> MirrorCopy:
    return MirrorCopy(HEAD, Origin("id", "10.0.0.1", 5.0), TURN, memory)


def test_request_and_answer_are_kept_whole() -> None:
    memory = ReplayBudget(100, 100)
    copy = copy_in(memory)
    assert copy.begin(response(), member(), body())
    copy.add(b"a,")
    copy.add(b"b\n")
    assert copy.whole
    assert (tuple(copy.body.kept), copy.body.ended) == (REQUEST, True)
    assert copy.answer() == Answer(200, b"text/csv", b"", b"a,b\n")
    assert memory.used_bytes == 10
    copy.release()
    copy.release()
    assert (copy.whole, memory.used_bytes) == (False, 0)


@pytest.mark.parametrize(("status", "version"), [(404, "1"), (200, "0")])
def test_other_answers_are_nothing_to_compare_with(status: int, version: str) -> None:
    assert not copy_in(ReplayBudget(100, 100)).begin(response(status), member(version), body())


@pytest.mark.parametrize(
    ("request_body", "stateful"), [(body(ended=False), False), (body(kept_bytes=5), False), (body(), True)]
)
def test_a_request_that_can_t_be_repeated_is_skipped(request_body: RequestBody, stateful: bool) -> None:
    memory = ReplayBudget(100, 100)
    copy = copy_in(memory)
    assert copy.begin(response(), member(stateful=stateful), request_body)
    copy.add(b"answer")
    assert (copy.whole, memory.used_bytes) == (False, 0)


@pytest.mark.parametrize(("each_bytes", "total_bytes"), [(5, 100), (100, 5), (100, 8)])
def test_beyond_the_memory_nothing_is_kept(each_bytes: int, total_bytes: int) -> None:
    memory = ReplayBudget(each_bytes, total_bytes)
    copy = copy_in(memory)
    assert copy.begin(response(), member(), body())
    copy.add(b"a,b\n")
    assert (copy.whole, memory.used_bytes) == (False, 0)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"POST /", True),
        (b"POST /models/m/predict", True),
        (b"GET /predict?x=1", True),
        (b"GET /models/m/predict", True),
        (b"HEAD /predict?x=1", False),
        (b"GET /models/m", False),
        (b"GET /models/m?x=/predict", False),
    ],
)
def test_only_predictions_are_mirrored(line: bytes, expected: bool) -> None:
    assert is_prediction(read_request_head(line + b" HTTP/1.1\r\nHost: a\r\n")) is expected
