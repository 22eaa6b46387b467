"""One session runs any signature of any model, with arrays by name."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.tensor_models import write_arithmetic, write_counter, write_loop, write_vocabulary
from tfleet.worker.inference.errors import BadInputError, UnknownSignatureError
from tfleet.worker.inference.model_session import ModelSession
from tfleet.worker.inference.predictor import Predictor
from tfleet.worker.model.dtypes import numpy_dtype
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.spec import InputSpec, ModelSpec, OutputSpec, RunSpec, ServingSpec
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process


def _load(path: Path, **serving: Any) -> ModelSession:
    spec = ModelSpec("m", "1", path, (), InputSpec(), OutputSpec(), None, ServingSpec(**serving))
    return ModelSession.load(spec, cpus=2)


@pytest.fixture(scope="module")
def arithmetic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelSession]:
    with closing(_load(write_arithmetic(tmp_path_factory.mktemp("m") / "1"))) as session:
        yield session


def _floats(*values: float) -> Any:
    return np.array(values, np.float32)


def test_the_default_signature_answers_by_name(arithmetic: ModelSession) -> None:
    assert arithmetic.form == "a SavedModel, frozen"
    assert arithmetic.signature().name == "serving_default"
    outputs = arithmetic.run("serving_default", {"a": _floats(1, 2), "b": _floats(10, 20)})
    assert {name: array.tolist() for name, array in outputs.items()} == {"diff": [-9, -18], "sum": [11, 22]}


def test_signatures_share_one_frozen_graph(arithmetic: ModelSession) -> None:
    assert list(arithmetic.signatures) == ["mixed", "scalar", "serving_default"]
    outputs = arithmetic.run("scalar", {"x": np.float32(2) * np.ones((), np.float32)})
    assert outputs["y"] == 6


def test_each_type_goes_in_and_comes_out(arithmetic: ModelSession) -> None:
    brain = numpy_dtype("bfloat16")
    outputs = arithmetic.run(
        "mixed",
        {
            "half": np.array([[1.5, 2]], np.float16),
            "brain": np.array([[1.5, 2]], brain),
            "whole": np.array([2**62], np.int64),
            "flag": np.array([True]),
            "word": np.array([b"h\xc3\xa9"], object),
        },
    )
    assert {name: array.dtype for name, array in outputs.items()} == {
        "half": np.float16,
        "brain": brain,
        "whole": np.int64,
        "flag": np.bool_,
        "word": np.dtype(object),
    }
    assert outputs["half"].tolist() == [[3, 4]]
    assert outputs["brain"].astype(float).tolist() == [[3, 4]]
    assert outputs["whole"].tolist() == [2**62 + 1]
    assert outputs["flag"].tolist() == [False]
    assert outputs["word"].tolist() == [b"h\xc3\xa9!"]


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({"a": _floats(1)}, r"the input b float32\[\?\] is missing"),
        (
            {"a": _floats(1), "b": _floats(1), "c": _floats(1)},
            "there is no input 'c'; the inputs of serving_default are a, b",
        ),
        (
            {"a": _floats(1), "b": np.array([1])},
            r"the input b float32\[\?\] was given as int64",
        ),
        (
            {"a": _floats(1), "b": np.array([b"1"], object)},
            r"the input b float32\[\?\] was given as strings",
        ),
        (
            {"a": _floats(1), "b": np.zeros((1, 2), np.float32)},
            r"the input b float32\[\?\] was given with the shape \[1, 2\]",
        ),
        (
            {"a": _floats(1, 2, 3), "b": _floats(1, 2)},
            "the model rejects the input: .*[Ii]ncompatible shapes",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_told(arithmetic: ModelSession, inputs: Any, problem: str) -> None:
    with pytest.raises(BadInputError, match=problem):
        arithmetic.run("serving_default", inputs)


def test_an_unknown_signature_lists_the_known_ones(arithmetic: ModelSession) -> None:
    with pytest.raises(
        UnknownSignatureError, match="no signature 'x'; it has mixed, scalar, serving_default"
    ):
        arithmetic.run("x", {})


def test_threads_share_the_session(arithmetic: ModelSession) -> None:
    def run(number: int) -> Any:
        return arithmetic.run("serving_default", {"a": _floats(number), "b": _floats(1)})["sum"].tolist()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(run, range(200))) == [[number + 1] for number in range(200)]


def test_a_table_stays_in_the_restored_session(tmp_path: Path) -> None:
    with closing(_load(write_vocabulary(tmp_path / "m"))) as session:
        assert (
            session.form == "a SavedModel with its variables: it has a HashTableV2, which is not a variable"
        )
        words = np.array([[b"bad"], [b"?"], [b"good"]], object)
        assert session.run("serving_default", {"text": words})["number"].tolist() == [2, 0, 1]
        assert not session.signature().stateful


def test_a_signature_that_assigns_is_stateful(tmp_path: Path) -> None:
    with closing(_load(write_counter(tmp_path / "m"))) as session:
        assert {name: each.stateful for name, each in session.signatures.items()} == {
            "peek": False,
            "serving_default": True,
        }
        assert session.run("serving_default", {"x": _floats(1, 2)})["total"] == 3
        assert session.run("serving_default", {"x": _floats(4)})["total"] == 7
        assert session.run("peek", {"x": np.zeros((), np.float32)})["total"] == 7


def test_a_model_with_state_runs_one_by_one(tmp_path: Path, arithmetic: ModelSession) -> None:
    assert arithmetic.concurrent_runs == 2
    with closing(_load(write_counter(tmp_path / "m"))) as session:
        predictor = Predictor(session)

        def count(number: int) -> float:
            return float(predictor("serving_default", {"x": _floats(1)}, rows=1).outputs["total"])

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(count, range(100))) == list(range(1, 101))
        assert session.concurrent_runs == 1


def test_what_is_stated_to_be_stateful_is_not_frozen(tmp_path: Path) -> None:
    with closing(_load(write_arithmetic(tmp_path / "m"), runs=RunSpec(stateful=True))) as session:
        assert all(each.stateful for each in session.signatures.values())
        assert session.form == "a SavedModel with its variables: model.toml says that it is stateful"


def test_a_loop_of_tensorflow_1_runs_with_its_defaults(tmp_path: Path) -> None:
    with closing(_load(write_loop(tmp_path / "loop.pb"))) as session:
        inputs = {"x": np.ones((1, 2), np.float32), "times": np.array(3, np.int32)}
        assert session.run("serving_default", inputs)["doubled"].tolist() == [[8, 8]]
        inputs["noise"] = np.array(0.5, np.float32)
        assert session.run("serving_default", inputs)["doubled"].tolist() == [[8.5, 8.5]]


def test_of_several_signatures_one_has_to_be_named(tmp_path: Path) -> None:
    module = tf.Module()
    for name in ("a", "b"):
        function = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([None], tf.float32, "x")])
        setattr(module, name, function)
    tf.saved_model.save(module, str(tmp_path / "m"), signatures={"a": module.a, "b": module.b})
    with closing(_load(tmp_path / "m")) as session:
        with pytest.raises(UnknownSignatureError, match="has several signatures: name one of a, b"):
            session.signature()
        assert session.run("b", {"x": _floats(1)})["y"].tolist() == [1]


@pytest.mark.parametrize("write", [write_arithmetic, write_loop])
def test_closing_twice_closes_once(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    session = _load(write(tmp_path / "m"))
    session.close()
    session.close()
    assert session.closed
    assert "closed" in repr(session)


def test_a_tag_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no graph with the tags \['gpu'\]; it has \['serve'\]"):
        _load(write_arithmetic(tmp_path / "m"), tags=("gpu",))


def test_a_sparse_input_is_refused_by_name(tmp_path: Path) -> None:
    with tf.Graph().as_default(), tf.compat.v1.Session() as other:
        sparse = tf.compat.v1.sparse_placeholder(tf.float32, [None, 3])
        plain = tf.compat.v1.placeholder(tf.float32, [None], name="x")
        signatures = {
            "sparse": tf.compat.v1.saved_model.predict_signature_def(
                {"s": sparse}, {"y": tf.sparse.reduce_sum(sparse, 1)}
            ),
            "serving_default": tf.compat.v1.saved_model.predict_signature_def({"x": plain}, {"y": plain * 2}),
        }
        builder = tf.compat.v1.saved_model.Builder(str(tmp_path / "m"))
        builder.add_meta_graph_and_variables(other, ["serve"], signature_def_map=signatures)
        builder.save()
    with closing(_load(tmp_path / "m")) as session:
        with pytest.raises(BadInputError, match="sparse has a sparse or composite tensor"):
            session.run("sparse", {"s": np.zeros((1, 3), np.float32)})
        assert session.run("serving_default", {"x": _floats(2)})["y"].tolist() == [4]
