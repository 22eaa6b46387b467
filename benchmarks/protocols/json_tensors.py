"""`python -m benchmarks.protocols.json_tensors`: what an image's pixels cost to read and to write as JSON.

150,528 float32, in one thread, beside Python's `json` and NumPy, which check nothing. Writes
docs/benchmarks/json-tensors.md. It loads no TensorFlow: the garbage collector would walk through its objects.
"""

from __future__ import annotations

import argparse
import datetime
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from benchmarks.protocols.bodies import V1_JSON, V2_JSON, of_pixels
from benchmarks.protocols.model import INPUT, NAME, SHAPE, pixels
from benchmarks.report.bar import Bar
from benchmarks.report.machine import machine, versions
from benchmarks.report.spread import Spread
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.oip.codec import decode_infer
from tfleet.worker.api.protocols.oip.request import WantedAnswer
from tfleet.worker.api.protocols.oip.response import AnsweringModel, encode_answer
from tfleet.worker.api.protocols.tfs.predict_input import decode_predict, read_predict
from tfleet.worker.api.protocols.tfs.predict_output import encode_predict
from tfleet.worker.model.signature import Signature, TensorInfo

PAGE: Final = Path(__file__).parents[2] / "docs/benchmarks/json-tensors.md"
_COMMAND: Final = ".venv/bin/python -m benchmarks.protocols.json_tensors"
_MOST: Final = 0.6
_INFO: Final = TensorInfo(INPUT, f"{INPUT}:0", "float32", (None, *SHAPE[1:]))
_SIGNATURE: Final = Signature(NAME, (_INFO,), (_INFO,))
_LIMITS: Final = InputLimits()
_SERVED: Final = AnsweringModel(NAME, "1")

Task = Callable[[], object]


@dataclass(frozen=True, slots=True)
class JsonCost:
    """Milliseconds of processor time, and their ratio to those of `json` and NumPy."""

    ms: Spread
    ratio: Spread


def json_costs(rounds: int) -> Mapping[str, JsonCost]:
    """What the worker takes, in rounds in which all take turns."""
    tasks = _tasks()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, (own, plain) in tasks.items():
            times[name].append((_cpu_ms(own), _cpu_ms(plain)))
    return {
        name: JsonCost(Spread.of([own for own, _ in found]), Spread.of([own / plain for own, plain in found]))
        for name, found in times.items()
    }


def _cpu_ms(task: Task) -> float:
    began_s = time.process_time()
    task()
    return (time.process_time() - began_s) * 1000


def _tasks() -> Mapping[str, tuple[Task, Task]]:
    """The worker's function, and what does the same without a check."""
    image, requests = pixels(), of_pixels()
    flat = requests[V2_JSON].form.body
    nested = orjson.dumps({"inputs": [{**_described(), "data": orjson.Fragment(_digits(image))}]})
    rows = requests[V1_JSON].form.body
    long = orjson.dumps({"instances": image.tolist()})
    outputs = {INPUT: image}
    return {
        "read a flat list of `/v2`": (lambda: _infer(flat), lambda: _from_inputs(flat)),
        "read nested lists of `/v2`": (lambda: _infer(nested), lambda: _from_inputs(nested)),
        "read rows of `/v1`, with digits of float32": (
            lambda: _predict(rows),
            lambda: np.asarray(json.loads(rows)["instances"], np.float32),
        ),
        "read rows of `/v1`, with digits of float64": (
            lambda: _predict(long),
            lambda: np.asarray(json.loads(long)["instances"], np.float32),
        ),
        "write a flat list of `/v2`": (
            lambda: encode_answer(outputs, WantedAnswer(), _SERVED, _LIMITS),
            lambda: json.dumps({"data": image.reshape(-1).tolist()}).encode(),
        ),
        "write rows of `/v1`": (
            lambda: encode_predict(outputs, _LIMITS, by_row=True),
            lambda: json.dumps({"predictions": image.tolist()}).encode(),
        ),
    }


def _described() -> Mapping[str, Any]:
    return {"name": INPUT, "datatype": "FP32", "shape": SHAPE}


def _digits(array: Any) -> bytes:
    return orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)


def _infer(body: bytes) -> object:
    return decode_infer(body, None, _SIGNATURE, _LIMITS)


def _from_inputs(body: bytes) -> object:
    return np.asarray(json.loads(body)["inputs"][0]["data"], np.float32).reshape(SHAPE)


def _predict(body: bytes) -> object:
    return decode_predict(read_predict(body, _LIMITS), _SIGNATURE, _LIMITS)


def page(costs: Mapping[str, JsonCost], rounds: int) -> str:
    """Markdown."""
    lines = [
        "# JSON tensors",
        "",
        f"`{_COMMAND} --rounds {rounds}` on {datetime.date.today()}:",
        f"{machine()};",
        f"{versions(['numpy', 'orjson'])}.",
        "",
        "The pixels of an image, 150,528 float32, in one thread. Processor time of rounds in which all take",
        "turns: medians, and the lowest and the highest of the rounds in brackets. `json` and NumPy check",
        "nothing. The worker checks shapes, types, ranges and equal keys.",
        "",
        f"| | the worker, ms | of `json` and NumPy | needed: at most {_MOST:g} |",
        "|---|---|---|---|",
    ]
    for name, cost in costs.items():
        verdict = Bar(name, None, _MOST, cost.ratio).verdict
        ratio = f"{cost.ratio.middle:.2f} ({cost.ratio.low:.2f} to {cost.ratio.high:.2f})"
        lines.append(f"| {name} | {cost.ms.middle:.1f} | {ratio} | {verdict} |")
    binary = "In binary form the same tensor takes no time to read: see [protocols](protocols.md)."
    return "\n".join([*lines, "", binary, ""])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.protocols.json_tensors",
        description=(__doc__ or "").split(": ", 1)[1],
    )
    parser.add_argument("--rounds", type=int, default=20, help="how often each is measured (default: 20)")
    rounds = parser.parse_args().rounds
    text = page(json_costs(rounds), rounds)
    PAGE.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
