"""The copy of a request that the canary is to get: what is kept while the stable version answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.http1.response import ResponseHead
from tfleet.proxy.balancing.member import PoolMember
from tfleet.proxy.balancing.model_router import MirrorTurn
from tfleet.proxy.balancing.versions import ModelVersion
from tfleet.proxy.forwarding.mirror.compare import MAX_COMPARED_BYTES, Answer, is_success
from tfleet.proxy.forwarding.replay_buffer import ReplayBudget, RequestBody

_GET: Final = b"GET"
_POST: Final = b"POST"
_PREDICT: Final = b"/predict"
_CONTENT_ENCODING: Final = b"content-encoding:"
_CONTENT_TYPE: Final = b"content-type:"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from, and how long it may take: all that the copy has of it but its bytes."""

    request_id: str
    peer: str | None
    timeout_s: float


def is_prediction(head: RequestHead) -> bool:
    """Whether the request asks for a prediction. Pages are not mirrored."""
    if head.method == _POST:
        return True
    return head.method == _GET and head.target.partition(b"?")[0].endswith(_PREDICT)


class MirrorCopy:
    """Call `begin` with the head of the stable version's answer, `add` with each piece of its body.

    It is `whole` while everything is kept that was received. `release` it at the end.
    """

    __slots__ = (
        "_answer",
        "_answer_bytes",
        "_memory",
        "_response",
        "body",
        "head",
        "origin",
        "turn",
        "whole",
    )

    def __init__(self, head: RequestHead, origin: Origin, turn: MirrorTurn, memory: ReplayBudget) -> None:
        self.head = head
        self.origin = origin
        self.turn = turn
        self.body = RequestBody(memory, chunked=head.chunked)
        self.whole = False
        self._memory = memory
        self._response: ResponseHead | None = None
        self._answer: list[bytes] = []
        self._answer_bytes = 0

    def __repr__(self) -> str:
        return f"<MirrorCopy {self.origin.request_id} {self.body!r} answer={self._answer_bytes}>"

    def begin(self, response: ResponseHead, member: PoolMember, body: RequestBody) -> bool:
        """Whether the answer is one to compare with: the stable version's, and a success."""
        instance = member.instance
        if ModelVersion(instance.model, instance.version) != self.turn.stable or not is_success(
            response.status
        ):
            return False
        self._response = response
        too_long = (response.length_bytes or 0) > MAX_COMPARED_BYTES
        # A second run may change what a stateful model answers next. Part of a body is no copy.
        if instance.stateful or too_long or not (body.ended and body.repeatable):
            return True
        for piece in body.kept:
            self.body.add(piece)
        self.body.ended = True
        self.whole = self.body.repeatable
        return True

    def add(self, piece: bytes) -> None:
        """Keep the next piece of the answer, if there is memory for it."""
        if not self.whole:
            return
        length = len(piece)
        if self._answer_bytes + length > MAX_COMPARED_BYTES or not self._memory.reserve(
            self._answer_bytes, length
        ):
            self.release()
            return
        self._answer.append(piece)
        self._answer_bytes += length

    def answer(self) -> Answer:
        """The stable version's answer, complete."""
        assert self._response is not None
        return whole_answer(self._response, self._answer)

    def release(self) -> None:
        """Release the memory."""
        self.whole = False
        self.body.forget()
        self._memory.release(self._answer_bytes)
        self._answer.clear()
        self._answer_bytes = 0


def whole_answer(head: ResponseHead, pieces: list[bytes]) -> Answer:
    """An answer whose body has these pieces."""
    return Answer(head.status, _field(head, _CONTENT_TYPE), _field(head, _CONTENT_ENCODING), b"".join(pieces))


def _field(head: ResponseHead, beginning: bytes) -> bytes:
    """The value of the first header line that begins so; empty without one."""
    length = len(beginning)
    found = (line[length:].strip() for line in head.fields.lines if line[:length].lower() == beginning)
    return next(found, b"").lower()
