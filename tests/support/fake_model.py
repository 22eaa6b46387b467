"""A model without TensorFlow, for tests of routes: its signatures, and a function that answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tfleet.worker.inference.batch_callers import CallerLeftError, Delivery, OverdueError, Submission
from tfleet.worker.inference.errors import BadInputError, UnknownSignatureError
from tfleet.worker.model.kind import ModelKind
from tfleet.worker.model.signature import Signature, TensorInfo
from tfleet.worker.model.spec import InputSpec, ModelSpec, OutputSpec

Arrays = Mapping[str, np.ndarray[Any, Any]]

TABLE = Signature(
    "serving_default",
    (
        TensorInfo("G1", "G1:0", "float32", (None,)),
        TensorInfo("G2", "G2:0", "float32", (None,)),
    ),
    (TensorInfo("score", "score:0", "float32", (None, 1)),),
)
SCALAR = Signature(
    "double", (TensorInfo("x", "x:0", "float64", ()),), (TensorInfo("y", "y:0", "float64", ()),)
)
SIGNATURES = {"serving_default": TABLE, "double": SCALAR}


def table_answer(signature: str, inputs: Arrays) -> Arrays:
    """What the signatures above answer."""
    if signature == "double":
        return {"y": inputs["x"] * 2}
    if (inputs["G1"] < 0).any():
        raise BadInputError("the model rejects the input: G1 is below 0")
    return {"score": (inputs["G1"] + inputs["G2"] / 10).reshape(-1, 1)}


@dataclass
class FakeSession:
    """Knows its signatures, as ModelSession does."""

    signatures: dict[str, Signature]
    default: str | None

    def signature(self, name: str | None = None) -> Signature:
        name = self.default if name is None else name
        if name is None:
            there = ", ".join(self.signatures)
            raise UnknownSignatureError(f"the model has several signatures: name one of {there}")
        if name not in self.signatures:
            raise UnknownSignatureError(
                f"the model has no signature {name!r}; it has {list(self.signatures)}"
            )
        return self.signatures[name]


@dataclass
class FakePredictor:
    """Answers while its gate is open: in the thread of its caller, or in one for each submission."""

    answer: Callable[[str, Arrays], Arrays]
    signatures: Mapping[str, Signature] = field(default_factory=lambda: SIGNATURES)
    waiting: int = 0
    gate: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    calls: list[tuple[str, int | None, float]] = field(default_factory=list)
    postprocess: Any = None
    submitted: int = 0
    """How many came without a thread."""
    left: bool = False
    """Whether one of these has left while it waited."""

    def ask(self, signature: str, inputs: Arrays, *, rows: int | None, any_shape: bool = False) -> Any:
        return SimpleNamespace(signature=self.signatures[signature], inputs=inputs, rows=rows)

    def run(self, asked: Any, deadline_s: float, gone: Callable[[], bool] = lambda: False) -> Any:
        name, end_s = asked.signature.name, time.monotonic() + 20
        self.calls.append((name, asked.rows, deadline_s))
        self.begun.set()
        while not self.gate.wait(0.02):
            self.left = self.left or gone()
            if time.monotonic() > end_s:
                raise OverdueError
        if gone():
            raise CallerLeftError
        return SimpleNamespace(outputs=self.answer(name, asked.inputs), batch=2, queue_s=0.0, infer_s=0.001)

    def submit(self, submissions: Sequence[Submission[Any]], deliver: Callable[[Any], None]) -> None:
        self.submitted += len(submissions)
        for each in submissions:
            deliveries: list[Delivery[Any, Any]] = [Delivery(each, None, None)]
            threading.Thread(target=deliver, args=(deliveries,), daemon=True).start()

    def result(self, delivery: Delivery[Any, Any]) -> Any:
        """In the thread of the submission."""
        submission = delivery.submission
        return self.run(submission.image, submission.deadline_s, submission.gone)

    def start(self) -> None:
        """It has no threads of its own."""

    def close(self) -> None:
        """Its threads end with their submissions."""


class FakeModel:
    """A table of two columns, with a second signature without rows. Its gate is open."""

    classifier: Any = None
    concurrent_runs = 1
    batch_sizes = (1,)

    def __init__(
        self, name: str = "wine", scores: Any = None, default: str | None = "serving_default"
    ) -> None:
        self.spec = ModelSpec(name, "1", Path(name), (), InputSpec(), OutputSpec())
        self.scores = scores
        self.session = FakeSession(SIGNATURES, default)
        self.predictor = FakePredictor(table_answer)
        self.predictor.gate.set()
        self.facts = SimpleNamespace(
            kind=_fact(ModelKind.TABLE),
            signature=_fact(default),
            stateful=_fact(False),
            columns=_fact(()),
            scaling=None,
            activation=None,
        )


def _fact(value: Any) -> Any:
    return SimpleNamespace(value=value, source="the model")
