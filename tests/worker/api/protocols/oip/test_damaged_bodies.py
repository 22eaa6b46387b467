"""Damaged bodies are read or refused with a documented status; nothing else comes of them."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.memory import resident_bytes
from tests.worker.api.protocols.mutations import Mutator
from tests.worker.api.protocols.oip.bodies import LIMITS, binary, body, strings, tensor
from tests.worker.api.protocols.signatures import IMAGE, MIXED, TENSORS, TEXT, VIDEO, column
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.oip.codec import decode_infer
from tfleet.worker.api.protocols.oip.response import AnsweringModel, encode_answer
from tfleet.worker.model.signature import Signature

Good = tuple[bytes, str | None, Signature]

_OUTPUTS: Final = [
    {"name": "y", "parameters": {"binary_data": True}},
    {"name": "text"},
    {"name": "y2", "parameters": {"classification": 2}},
]
_ANSWER: Final[Mapping[str, np.ndarray[Any, Any]]] = {
    "y": np.arange(6, dtype=np.float32).reshape(2, 3),
    "y2": np.array([[1, -2], [2, 3]], np.int8),
    "text": np.array([b"a", b"\xff"], object),
}
_ADA: Final = body(
    tensor("age", "INT32", [1], [3]), tensor("name", "BYTES", [1, 1], ["A:"]), outputs=_OUTPUTS
)
_TWO: Final = body(
    tensor("age", "INT32", [1], binary_data_size=4),
    tensor("name", "BYTES", [1, 1], binary_data_size=7),
    id="42:a",
    outputs=_OUTPUTS,
)
GOOD: Final[list[Good]] = [
    (
        body(
            tensor("video", "FP32", [1, 2, 2], [[[1, 2], [3, 4]]]),
            tensor("question", "INT32", [1, 2], [5, 6]),
            parameters={"binary_data_output": True},
        ),
        None,
        VIDEO,
    ),
    (
        body(tensor("age", "INT32", [1], [3]), tensor("name", "BYTES", [1, 1], ["A:"]), outputs=_OUTPUTS),
        None,
        MIXED,
    ),
    (body(tensor("a", "FP32", [2], [1, 0.5]), tensor("b", "FP32", [], [1])), None, TENSORS),
    (body(tensor("text", "BYTES", [2, 1], ["YQ==", "/w=="], content_type="base64")), None, TEXT),
    (_TWO + bytes(4) + strings(b"Ada"), str(len(_TWO)), MIXED),
    (*binary("FP32", (4,), bytes(16)), column("float32")),
    (*binary("UINT8", (2, 2, 2), bytes(8), "image"), IMAGE),
    (bytes(16), "0", column("float32")),
]
_ALLOWED: Final = {400, 413, 415}


def outcome(content: bytes, header: str | None, model: Signature) -> str:
    """What becomes of a body: `read`, or a status."""
    try:
        decoded = decode_infer(content, header, model, LIMITS)
        answer = encode_answer(_ANSWER, decoded.wanted, AnsweringModel("m", "1"), LIMITS)
    except ProblemError as error:
        return _status(error)
    json.loads(answer.content[: answer.json_bytes])
    return "read"


def _status(error: ProblemError) -> str:
    status, detail = error.problem.status, error.problem.detail
    assert status in _ALLOWED
    assert detail.isprintable()
    assert len(detail) < 800
    return str(status)


@pytest.mark.parametrize("good", GOOD)
def test_the_good_bodies_are_read(good: Good) -> None:
    assert outcome(*good) == "read"


def test_damaged_bodies_are_read_or_refused() -> None:
    mutator, found = Mutator(20), Counter[str]()
    before = 0
    began_s = time.process_time()
    for run in range(6000):
        if run == 1000:
            before = resident_bytes()
        content, header, model = GOOD[mutator.pick(len(GOOD))]
        other = GOOD[mutator.pick(len(GOOD))][0]
        if header is None and mutator.pick(2):
            content = mutator.damaged_json(content)
        else:
            content = mutator.damaged(content, other)
        if header is not None and mutator.pick(4) == 0:
            header = str(max(0, int(header) + mutator.pick(9) - 4))
        found[outcome(content, header, model)] += 1
    assert found["read"] > 100
    assert found["400"] > 1000
    assert time.process_time() - began_s < 60
    assert resident_bytes() - before < 64 * 2**20


@given(st.sampled_from(GOOD), st.data())
@settings(max_examples=300, deadline=None)
def test_any_bytes_may_change(good: Good, data: st.DataObject) -> None:
    content, header, model = good
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged)))
        cut = data.draw(st.integers(0, 4))
        damaged[at : at + cut] = data.draw(st.binary(max_size=6))
    outcome(bytes(damaged), header, model)


@given(st.binary(max_size=200), st.one_of(st.none(), st.text(max_size=20)), st.sampled_from(GOOD))
@settings(max_examples=200, deadline=None)
def test_any_body_with_any_length_of_json_is_answered(content: bytes, header: str | None, good: Good) -> None:
    outcome(content, header, good[2])
