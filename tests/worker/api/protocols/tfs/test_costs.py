"""Bodies that cost as much as the limits allow."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable

import pytest

from tests.worker.api.protocols.signatures import info, signature
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.tfs.examples import decode_examples, read_examples
from tfleet.worker.api.protocols.tfs.predict_input import decode_predict, read_predict
from tfleet.worker.model.signature import Signature

pytestmark = pytest.mark.process

LIMITS = InputLimits()
MIB = 2**20
VALUES = 2_097_000
NUMBERS = signature(info("x", "float64", None))
STRINGS = signature(info("x", "string", None))
PAIR = signature(info("a", "float32", None), info("b", "float32", None))
EXAMPLES = signature(info("inputs", "string", (None,)))


def _features(names: str, examples: int) -> bytes:
    return json.dumps({"examples": [dict.fromkeys(names, 1)] * examples}).encode()


def _context(features: int, examples: int, example: str = "{}") -> bytes:
    context = json.dumps({str(number): 1 for number in range(features)})
    return f'{{"context":{context},"examples":[{",".join([example] * examples)}]}}'.encode()


BODIES: dict[str, tuple[Signature, Callable[[], bytes]]] = {
    "numbers": (NUMBERS, lambda: b'{"inputs":[' + b",".join([b"0.123456789"] * VALUES) + b"]}"),
    "numbers-and-nan": (NUMBERS, lambda: b'{"inputs":[NaN,' + b",".join([b"0.12345"] * VALUES) + b"]}"),
    "numbers-and-tail": (NUMBERS, lambda: b'{"inputs":[' + b",".join([b"0.12345"] * VALUES) + b"]}tail"),
    "digits-and-tail": (NUMBERS, lambda: b'{"inputs":' + b"1" * (31 * MIB) + b"}tail"),
    "unused-key": (NUMBERS, lambda: b'{"inputs":1,"more":[' + b",".join([b'{"a":1}'] * 200_000) + b"]}"),
    "base64": (STRINGS, lambda: b'{"inputs":[' + b",".join([b'{"b64":"AA=="}'] * 260_000) + b"]}"),
    "objects": (PAIR, lambda: b'{"instances":[' + b",".join([b'{"a":1,"b":2}'] * 65_000) + b"]}"),
    "brackets": (NUMBERS, lambda: b'{"inputs":' + b"[" * MIB + b"]" * MIB + b"}"),
    "features": (EXAMPLES, lambda: _features("abcd", 65_000)),
    "more-features": (EXAMPLES, lambda: _features("abcde", 65_000)),
    "context": (EXAMPLES, lambda: _context(1_000, 4_000)),
    "context-within-the-limit": (EXAMPLES, lambda: _context(1_000, 262)),
    "context-overridden": (EXAMPLES, lambda: _context(1_000, 261, '{"1":2}')),
    "values": (EXAMPLES, lambda: json.dumps({"examples": [{"f": [2**62] * 1_000_000}]}).encode()),
}


@pytest.mark.parametrize("name", BODIES)
def test_the_costliest_bodies_take_seconds_at_most(name: str) -> None:
    model, make = BODIES[name]
    body = make()
    began_s = time.process_time()
    with contextlib.suppress(ProblemError):
        if model is EXAMPLES:
            decode_examples(read_examples(body, LIMITS), model, LIMITS)
        else:
            decode_predict(read_predict(body, LIMITS), model, LIMITS)
    # Of the CPU's time, as other processes run beside the tests. Measured: 2 s at most, and several times
    # that where coverage is measured.
    assert time.process_time() - began_s < 12
