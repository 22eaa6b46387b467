"""Bodies that cost as much as the limits allow."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from tests.support.bodies import arrow, npz, stream
from tests.worker.api.protocols.signatures import ARROW, CSV, JSON, NPZ, TABLE, info, signature
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.native import decode
from tfleet.worker.model.signature import Signature

MIB = 2**20
VALUES = 2_097_000
NUMBERS = signature(info("x", "float64", (None, None)))
STRINGS = signature(info("x", "string", (None, None)))
HEADER = ",".join(f"G{number}" for number in range(1, 11))
ONE = pa.record_batch([pa.array([1.0])], ["x"])

BODIES: dict[str, tuple[str, Signature, Callable[[], bytes]]] = {
    "numbers": (JSON, NUMBERS, lambda: b"[" + b",".join([b"0.123456789"] * VALUES) + b"]"),
    "numbers-and-nan": (JSON, NUMBERS, lambda: b"[" + b",".join([b"0.12345"] * VALUES) + b",NaN]"),
    "colons": (JSON, STRINGS, lambda: b"[" + b",".join([b'":::::"'] * VALUES) + b"]"),
    "escapes": (JSON, STRINGS, lambda: b"[" + b",".join([b'"abcd"'] * VALUES) + b',"\\u003a"]'),
    "backslashes": (JSON, STRINGS, lambda: b'["' + b'\\":' * (10 * MIB) + b'"]'),
    "lists": (JSON, NUMBERS, lambda: b"[" + b",".join([b"[]"] * (VALUES // 2)) + b"]"),
    "double-keys": (JSON, NUMBERS, lambda: b"{" + b",".join([b'"x":1'] * MIB) + b"}"),
    "many-keys": (JSON, NUMBERS, lambda: b"{" + b",".join(b'"%d":1' % key for key in range(MIB)) + b"}"),
    "digits": (JSON, NUMBERS, lambda: b"[" + b"1" * (31 * MIB) + b"]"),
    "digits-and-nan": (JSON, NUMBERS, lambda: b"[NaN," + b"1" * (31 * MIB) + b"]"),
    "cells": (CSV, TABLE, lambda: "\n".join([HEADER, *[",".join(["0.123456789"] * 10)] * 65_000]).encode()),
    "infinite-cells": (CSV, TABLE, lambda: "\n".join([HEADER, *[",".join(["inf"] * 10)] * 65_000]).encode()),
    "short-lines": (CSV, NUMBERS, lambda: b"x\n" + b"1\n" * 1_000_000),
    "quotes": (CSV, NUMBERS, lambda: b"x\n" + b'"' * (31 * MIB)),
    "batches": (ARROW, signature(info("x", "float64", (None,))), lambda: stream([ONE] * 4000)),
    "columns": (ARROW, TABLE, lambda: arrow({f"c{number}": [1.0] for number in range(4000)})),
    "zeros": (ARROW, NUMBERS, lambda: arrow({"x": rows(np.zeros(20 * MIB))}, compression="zstd")),
    "inflated": (NPZ, NUMBERS, lambda: npz({"x": np.zeros((1, 30 * MIB), np.int8)}, compressed=True)),
}


def rows(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values), 1024)


@pytest.mark.process
@pytest.mark.parametrize("name", BODIES)
def test_the_costliest_bodies_take_about_a_second(name: str) -> None:
    media_type, model, make = BODIES[name]
    body = make()
    began_s = time.process_time()
    with contextlib.suppress(ProblemError):
        decode(body, media_type, model)
    # Measured: 0.8 s at most, and four times that where coverage is measured. Of the CPU's time, as other
    # processes run beside the tests.
    assert time.process_time() - began_s < 8
