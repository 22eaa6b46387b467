"""Rows of several callers run together where that is right, and each caller gets their own."""

import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.graphs import write_graph
from tests.support.tensor_models import write_arithmetic
from tfleet.worker.inference.batch_callers import Submission
from tfleet.worker.inference.errors import BadInputError, OversizedRunError, UnknownSignatureError
from tfleet.worker.inference.model_session import ModelSession
from tfleet.worker.inference.predictor import Predictor
from tfleet.worker.model.spec import InputSpec, ModelSpec, OutputSpec
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelSession]:
    path = write_arithmetic(tmp_path_factory.mktemp("m") / "1")
    with closing(ModelSession.load(ModelSpec("m", "1", path, (), InputSpec(), OutputSpec()), cpus=2)) as it:
        yield it


def _predictor(session: ModelSession, max_rows: int = 4) -> Predictor:
    predictor = Predictor(session, max_rows)
    predictor.batched = frozenset({"serving_default"})
    return predictor


def _row(*values: float) -> Any:
    return {"a": np.array(values, np.float32), "b": np.ones(len(values), np.float32)}


def test_callers_in_a_crowd_get_their_own_rows(session: ModelSession) -> None:
    predictor = _predictor(session)

    def ask(number: int) -> Any:
        prediction = predictor("serving_default", _row(*[number] * (1 + number % 3)), rows=1 + number % 3)
        return prediction.outputs["sum"].tolist(), prediction.batch

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(400)))
    assert [sums for sums, _ in answers] == [[number + 1] * (1 + number % 3) for number in range(400)]
    assert max(batch for _, batch in answers) > 1
    assert "waiting=0" in repr(predictor)


@pytest.mark.parametrize("rows", [None, 5])
def test_what_has_no_rows_or_too_many_runs_alone(session: ModelSession, rows: int | None) -> None:
    prediction = _predictor(session)("serving_default", _row(1, 2, 3, 4, 5), rows=rows)
    assert prediction.outputs["sum"].tolist() == [2, 3, 4, 5, 6]
    assert prediction.batch == 1


def test_rows_of_another_shape_run_alone_where_any_is_taken(session: ModelSession) -> None:
    predictor = _predictor(session)
    stated = predictor.ask("serving_default", _row(1, 2), rows=2, any_shape=True)
    assert stated.bucket == predictor.ask("serving_default", _row(1, 2), rows=2).bucket
    assert stated.bucket is not None
    square = {name: np.ones((2, 2), np.float32) for name in "ab"}
    other = predictor.ask("serving_default", square, rows=2, any_shape=True)
    assert other.bucket is None
    assert predictor.run(other).outputs["sum"].tolist() == [[2, 2], [2, 2]]
    one = {**square, "b": np.array(3, np.float32)}
    found = predictor.run(predictor.ask("serving_default", one, rows=None, any_shape=True))
    assert found.outputs["diff"].tolist() == [[-2, -2], [-2, -2]]


def test_only_some_inputs_have_other_shapes_than_stated(session: ModelSession) -> None:
    predictor = _predictor(session)
    square = {name: np.ones((2, 2), np.float32) for name in "ab"}
    with pytest.raises(BadInputError, match=r"with the shape \[2, 2\]"):
        predictor.ask("serving_default", square, rows=2)
    wide = {"a": np.ones((2, 1), np.float32), "b": np.ones((1, 2), np.float32)}
    with pytest.raises(BadInputError, match="different shapes"):
        predictor.ask("serving_default", wide, rows=None, any_shape=True)


def test_rows_of_different_shapes_never_run_together(tmp_path: Path) -> None:
    # tensorflow/serving#1279, #276
    def build() -> None:
        x = tf.compat.v1.placeholder(tf.float32, [None, None], name="x")
        tf.reduce_sum(x * tf.cast(tf.shape(x)[1], tf.float32), axis=1, name="y")

    spec = ModelSpec("m", "1", write_graph(tmp_path / "g.pb", build), (), InputSpec(), OutputSpec())
    with closing(ModelSession.load(spec, cpus=1)) as session:
        name = session.signature().name
        predictor = Predictor(session, 8)
        predictor.batched = frozenset({name})

        def ask(number: int) -> Any:
            row = np.ones((1, 1 + number % 3), np.float32)
            found = predictor(name, {"x": row}, rows=1)
            return found.outputs["y"].tolist(), found.batch

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(ask, range(600)))
    assert [sums for sums, _ in answers] == [[(1 + number % 3) ** 2] for number in range(600)]
    assert max(batch for _, batch in answers) > 1


def test_bad_inputs_are_told_before_they_wait(session: ModelSession) -> None:
    predictor = _predictor(session)
    with pytest.raises(BadInputError, match=r"the input b float32\[\?\] is missing"):
        predictor("serving_default", {"a": np.zeros(1, np.float32)}, rows=1)
    with pytest.raises(UnknownSignatureError):
        predictor("nothing", {}, rows=1)


def test_a_run_that_gets_no_memory_is_oversized(tmp_path: Path) -> None:
    def build() -> None:
        count = tf.compat.v1.placeholder(tf.int64, [1], name="count")
        tf.reduce_max(tf.fill(count, 1.0), name="y")

    spec = ModelSpec("m", "1", write_graph(tmp_path / "g.pb", build), (), InputSpec(), OutputSpec())
    with closing(ModelSession.load(spec, cpus=1)) as session:
        predictor = Predictor(session)
        assert session.default is not None
        found = predictor(session.default, {"count": np.array([3], np.int64)}, rows=None)
        assert found.outputs["y"] == 1
        with pytest.raises(OversizedRunError, match="more memory for this input than the worker has: OOM"):
            predictor(session.default, {"count": np.array([1 << 46], np.int64)}, rows=None)


def test_submitted_rows_run_in_threads_of_the_predictor(session: ModelSession) -> None:
    predictor, found, told = _predictor(session), {}, threading.Semaphore(0)

    def deliver(deliveries: Any) -> None:
        for each in deliveries:
            result = predictor.result(each)
            found[each.submission.owner] = result.outputs["sum"].tolist(), result.batch
            told.release()

    asked = [predictor.ask("serving_default", _row(number), rows=1) for number in range(10)]
    with closing(predictor):
        predictor.submit(
            [Submission(each, number, math.inf, lambda: False) for number, each in enumerate(asked)], deliver
        )
        assert all(told.acquire(timeout=20) for _ in asked)
    assert [found[number][0] for number in range(10)] == [[number + 1] for number in range(10)]
    assert [found[number][1] for number in range(10)] == [4] * 8 + [2] * 2
