"""Damaged bodies of TensorFlow Serving's REST API are read, or refused with a documented status."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.worker.api.protocols import signatures as models
from tests.worker.api.protocols.mutations import Mutator
from tests.worker.api.protocols.signatures import info, signature
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.tfs.examples import decode_examples, read_examples
from tfleet.worker.api.protocols.tfs.predict_input import decode_predict, read_predict
from tfleet.worker.api.protocols.tfs.predict_output import encode_predict
from tfleet.worker.model.signature import Signature

RUNS = 10_000
LIMITS = InputLimits()
EXAMPLES = signature(info("inputs", "string", (None,)))
SEEDS: list[tuple[bytes, Signature]] = [
    (b'{"instances": [{"name": "Ada: x", "age": 36}, {"age": 1, "name": {"b64": "/w=="}}]}', models.MIXED),
    (b'{"signature_name": "s", "instances": [[1, 2.5, -3e7], [NaN, 5, 6]]}', models.VECTOR),
    (b'{"inputs": {"video": [[[1, 2], [3, 4]]], "question": [[5, 6]], "more": {}}}', models.VIDEO),
    (b'{"instances": [[[0, 255], [1, 2]]]} trailing', models.IMAGE),
    (b'{"inputs": [true, false]}', models.column("bool")),
    (b'{"context": {"a": [1, true]}, "examples": [{"b": 2.5, "c": ["x", {"b64": "AA=="}]}, {}]}', EXAMPLES),
]


def outcome(body: bytes, model: Signature) -> str:
    """`read`, or the status with which a body is refused."""
    try:
        if model is EXAMPLES:
            decode_examples(read_examples(body, LIMITS), model, LIMITS)
            return "read"
        decoded = decode_predict(read_predict(body, LIMITS), model, LIMITS)
    except ProblemError as error:
        return _status(error)
    try:
        encode_predict(decoded.inputs, LIMITS, by_row=decoded.by_row)
    except ProblemError as error:
        return f"{_status(error)} written"
    return "read"


def _status(error: ProblemError) -> str:
    problem = error.problem
    assert problem.detail.isprintable()
    assert problem.body("/v1/models/m:predict").isascii()
    return str(problem.status)


@pytest.mark.process
@pytest.mark.parametrize("number", range(len(SEEDS)))
def test_damaged_bodies_are_read_or_refused(number: int) -> None:
    good, model = SEEDS[number]
    mutator, found = Mutator(number), Counter[str]()
    for _ in range(RUNS):
        other = SEEDS[mutator.pick(len(SEEDS))][0]
        inside = mutator.pick(2) and b"NaN" not in good and b"trailing" not in good
        body = mutator.damaged_json(good) if inside else mutator.damaged(good, other)
        found[outcome(body, model)] += 1
    assert found.keys() <= {"read", "400", "400 written", "413"}, found
    assert found["read"] > RUNS / 100
    assert found["400"] > RUNS / 100
