"""Damaged bodies in great number: each is decoded, or refused with a documented status, in bounded time.

    python -m tests.worker.api.protocols.fuzz --runs 50000

A run that raises anything else, takes a second of CPU, or lets the process grow ends the program with a line
that says how to repeat it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from tests.support.bodies import arrow, npy, npz
from tests.support.memory import resident_bytes
from tests.worker.api.protocols import signatures as models
from tests.worker.api.protocols.mutations import Mutator
from tests.worker.api.protocols.signatures import ARROW, CSV, JSON, NPY, NPZ
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.native import decode, encode
from tfleet.worker.model.signature import Signature

_DECODING: Final = frozenset({400, 413, 415})
_ENCODING: Final = frozenset({406})
_MOST_CPU_S: Final = 1.0
_MOST_GROWTH: Final = 96 * 2**20
"""Pools of memory fill at first; a leak of one body in a hundred would be several times as much."""


@dataclass(frozen=True)
class Seed:
    """A good body."""

    body: bytes
    media_type: str
    model: Signature
    columns: tuple[str, ...] = ()


X: Final = np.linspace(-1, 1, 30, dtype=np.float32)
_TABLE: Final = {f"G{number}": X * number for number in range(1, 11)}
_VIDEO: Final[Mapping[str, Any]] = {
    "video": np.ones((5, 2, 2), np.float32),
    "question": np.arange(10).reshape(5, 2),
}
_NESTED: Final[Mapping[str, Any]] = {name: pa.array(array.tolist()) for name, array in _VIDEO.items()}
_PEOPLE: Final = {"age": pa.array([36, 7, 9] * 9, pa.int32()), "name": pa.array(["Ada", "", "h\u00e9"] * 9)}
_DICTIONARY: Final = {name: array.dictionary_encode() for name, array in _PEOPLE.items()}
_VIEWS: Final = {
    "age": _PEOPLE["age"],
    "name": pa.array(["a string of over twelve bytes"] * 27, pa.string_view()),
}
_CSV_TABLE: Final = "\n".join(
    [",".join(_TABLE), *[",".join(map(str, row)) for row in zip(*_TABLE.values(), strict=True)]]
)
_BLANK: Final = b" " * 90
_HEADER: Final = b"{'descr':'<f4','fortran_order':False,'shape':(1%b,%b3%b,%b)%b}" % ((_BLANK,) * 5)
_BLANKS: Final = b"\x93NUMPY\x01\x00" + len(_HEADER).to_bytes(2, "little") + _HEADER + bytes(12)

SEEDS: Final[Mapping[str, Sequence[Seed]]] = {
    "json": [
        Seed(
            b'{"G1":1,"G2":-0.5,"G3":6e-7,"G4":1,"G5":1,"G6":1,"G7":1,"G8":1,"G9":1,"G10":1}',
            JSON,
            models.TABLE,
        ),
        Seed(b"[" + b",".join([b'{"a": 1, "b": 2.5, "c": -3}'] * 20) + b"]", JSON, models.VECTOR, models.ABC),
        Seed(b'{"G": [[1, 2, 3], [4, 5, 6]]}', JSON, models.VECTOR),
        Seed(b'[{"name": "Ada: x", "age": 36}, {"age": 1, "name": {"b64": "/w=="}}]', JSON, models.MIXED),
        Seed(b'{"video": [[1, 2], [3, 4]], "question": [5, 6]}', JSON, models.VIDEO),
        Seed(b"[[1, 2, 3], [4, 5, 6]]", JSON, models.SEQUENCE),
        Seed(b'{"a": [1, NaN], "b": -Infinity}', JSON, models.TENSORS),
        Seed(b"[[0, 255], [1, 2]]", JSON, models.IMAGE),
    ],
    "csv": [
        Seed(_CSV_TABLE.encode(), CSV, models.TABLE),
        Seed(b'\xef\xbb\xbfname,age\r\n"Ada, ""x""\ny",36\r\nBob,7\r\n', CSV, models.MIXED),
        Seed(b"c,a,b\n1,2,3\nNaN,inf,-1e-3\n", CSV, models.VECTOR, models.ABC),
        Seed(b"x\ntrue\nFalse\n", CSV, models.column("bool")),
    ],
    "arrow": [
        Seed(arrow(_TABLE), ARROW, models.TABLE),
        Seed(arrow(_TABLE, batches=3, compression="lz4"), ARROW, models.TABLE),
        Seed(arrow(_TABLE, compression="zstd"), ARROW, models.TABLE),
        Seed(arrow(_NESTED), ARROW, models.VIDEO),
        Seed(arrow(_PEOPLE, batches=2), ARROW, models.MIXED),
        Seed(arrow(_DICTIONARY), ARROW, models.MIXED),
        Seed(arrow(_VIEWS), ARROW, models.MIXED),
        Seed(arrow({"G": pa.FixedSizeListArray.from_arrays(pa.array(X), 3)}), ARROW, models.VECTOR),
    ],
    "npy": [
        Seed(npy(X.reshape(-1, 3)), NPY, models.VECTOR),
        Seed(npy(np.asfortranarray(X.reshape(-1, 3).astype(">f8"))), NPY, models.VECTOR),
        Seed(npy(np.arange(40).reshape(10, 2, 2)), NPY, models.IMAGE),
        Seed(npy(np.array(["Ada", "h\u00e9"])), NPY, models.TEXT),
        Seed(npy(np.array([b"Ada", b"\xff"])), NPY, models.TEXT),
        Seed(_BLANKS, NPY, models.VECTOR),
    ],
    "npz": [
        Seed(npz(_VIDEO), NPZ, models.VIDEO),
        Seed(npz(_VIDEO, compressed=True), NPZ, models.VIDEO),
        Seed(npz({"a": X[:2], "b": X[0]}), NPZ, models.TENSORS),
        Seed(
            npz({"age": np.arange(3), "name": np.array(["a", "b", "c"])}, compressed=True), NPZ, models.MIXED
        ),
    ],
}


class FailedRunError(Exception):
    """A run did what no body may cause."""


def outcome(seed: Seed, body: bytes) -> str:
    """What a body leads to: `rows`, or the status with which it is refused. Raises FailedRunError."""
    try:
        decoded = decode(body, seed.media_type, seed.model, seed.columns)
    except ProblemError as error:
        return _status(error, _DECODING)
    for media_type in (JSON, CSV, ARROW, NPZ):  # what was read must also be fit to be written
        try:
            encode(decoded.inputs, decoded, media_type, seed.model)
        except ProblemError as error:
            _status(error, _ENCODING)
    return "rows"


def damaged(form: str, mutator: Mutator) -> tuple[Seed, bytes]:
    """A damaged body, and the good one that it was made from."""
    seeds = SEEDS[form]
    good, other = seeds[mutator.pick(len(seeds))], seeds[mutator.pick(len(seeds))]
    inside = mutator.pick(2)  # half of the damages leave the outer form as it is
    if inside and form == "npz":
        return good, mutator.damaged_archive(good.body, other.body)
    if inside and form == "json":
        return good, mutator.damaged_json(good.body)
    return good, mutator.damaged(good.body, other.body)


def fuzz(form: str, runs: int, seed: int = 0) -> Counter[str]:
    """Decode damaged bodies of one form, and count what they lead to. Raises FailedRunError."""
    mutator = Mutator(seed)
    for good in SEEDS[form]:
        if outcome(good, good.body) != "rows":
            raise FailedRunError(f"a good body of {form} is refused")
    found: Counter[str] = Counter()
    settled = 0
    for run in range(runs):
        if run == runs // 5:
            settled = resident_bytes()
        good, body = damaged(form, mutator)
        found[_timed(good, body, f"--form {form} --seed {seed}, run {run}")] += 1
    grown = resident_bytes() - settled
    if grown > _MOST_GROWTH:
        raise FailedRunError(f"--form {form} --seed {seed}: the process grew by {grown >> 20} MiB")
    return found


def _timed(good: Seed, body: bytes, what: str) -> str:
    began_s = time.process_time()
    try:
        found = outcome(good, body)
    except Exception as error:
        raise FailedRunError(f"{what}: {error!r}\n{good.media_type} {body[:4000]!r}") from error
    took_s = time.process_time() - began_s
    if took_s > _MOST_CPU_S:
        raise FailedRunError(f"{what}: {took_s:.1f} s of CPU\n{good.media_type} {body[:4000]!r}")
    return found


def _status(error: ProblemError, allowed: frozenset[int]) -> str:
    problem = error.problem
    if problem.status not in allowed or not problem.detail.isprintable() or len(problem.detail) > 800:
        raise FailedRunError(f"{problem.status} {problem.detail!r}")
    return str(problem.status)


def main(argv: Sequence[str] | None = None) -> Any:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description="Decode damaged bodies.")
    parser.add_argument("--runs", type=int, default=50_000, help="bodies of each form")
    parser.add_argument("--form", choices=[*SEEDS, "all"], default="all")
    parser.add_argument("--seed", type=int, default=0, help="which damages")
    asked = parser.parse_args(argv)
    for form in SEEDS if asked.form == "all" else [asked.form]:
        began_s = time.perf_counter()
        try:
            found = fuzz(form, asked.runs, asked.seed)
        except FailedRunError as error:
            print(error, file=sys.stderr)
            return 1
        counts = ", ".join(f"{name}: {number}" for name, number in sorted(found.items()))
        print(f"{form}: {asked.runs} bodies in {time.perf_counter() - began_s:.1f} s ({counts})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
