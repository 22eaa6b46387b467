"""A batch has to give what its rows give alone, or rows run one by one."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tfleet.worker.inference.batch_check import check_batches, near
from tfleet.worker.inference.errors import BadInputError
from tfleet.worker.model.graph_facts import GraphFacts
from tfleet.worker.model.signature import Signature, TensorInfo


def _signature(x: Any = (None, 2), y: Any = (None, 2), stateful: bool = False) -> Signature:
    infos = TensorInfo("x", "x:0", "float32", x), TensorInfo("y", "y:0", "float32", y)
    return Signature("s", infos[:1], infos[1:], stateful=stateful)


def _needs(steps: int) -> Any:
    def run(name: str, inputs: Any) -> Any:
        if inputs["x"].shape[1] < steps:
            raise BadInputError("too short")
        return {"y": inputs["x"].sum(axis=1)}

    return run


@pytest.mark.parametrize(
    ("function", "obstacle"),
    [
        (lambda x: x * 2, ""),
        (lambda x: x * (1 + 1e-7 * len(x)), ""),
        (lambda x: x - x.mean(axis=0), "y is different in a batch"),
        (lambda x: x.sum(axis=0, keepdims=True), "of a batch, y has the shape [1, 2] for 3 rows"),
        (lambda x: np.concatenate([x, x]), "it does not answer one row with one row"),
    ],
)
def test_a_batch_is_compared_with_its_rows(function: Any, obstacle: str) -> None:
    check = check_batches(lambda _, inputs: {"y": function(inputs["x"])}, _signature())
    assert (check.obstacle, check.batched) == (obstacle, not obstacle)
    assert check.inputs is not None
    assert check.inputs["x"].shape == (1, 2)


def test_a_model_that_takes_no_batch_says_why() -> None:
    def run(name: str, inputs: Any) -> Any:
        if len(inputs["x"]) > 1:
            raise BadInputError("one row only")
        return {"y": inputs["x"]}

    assert check_batches(run, _signature()).obstacle == "it takes no batch: one row only"


@pytest.mark.parametrize(
    ("signature", "obstacle"),
    [
        (_signature(stateful=True), "it keeps state"),
        (_signature(x=(), y=()), "not all of its inputs and outputs have rows"),
    ],
)
def test_what_can_have_no_batches_still_runs_once(signature: Signature, obstacle: str) -> None:
    runs: list[Any] = []
    check = check_batches(lambda _, inputs: runs.append(inputs) or {"y": inputs["x"]}, signature)  # type: ignore[func-returns-value] # append returns None
    assert (check.obstacle, len(runs)) == (obstacle, 1)


def test_open_dimensions_are_tried_until_one_fits() -> None:
    check = check_batches(_needs(30), _signature(x=(None, None), y=(None,)))
    assert check.batched
    assert check.inputs is not None
    assert check.inputs["x"].shape == (1, 32)


def test_where_nothing_fits_the_reason_is_told() -> None:
    check = check_batches(_needs(100_000), _signature(x=(None, None), y=(None,)))
    assert (check.inputs, check.obstacle) == (None, "too short")


def test_examples_go_before_generated_inputs() -> None:
    examples = [{"x": np.full((1, 2), value, np.float32)} for value in (5, 6, 7)]
    seen: list[float] = []

    def run(name: str, inputs: Any) -> Any:
        seen.extend(inputs["x"][:, 0])
        return {"y": inputs["x"]}

    assert check_batches(run, _signature(), examples).batched
    assert seen == [5, 6, 7, 5, 6, 7]


def _text_mean(name: str, inputs: Any) -> Any:
    """The mean over the words of a text, where shorter texts are padded to the longest one of the batch."""
    words = [text.split() for text in inputs["x"]]
    longest = max(map(len, words))
    return {"y": np.array([sum(map(len, each)) / longest for each in words], np.float32)}


@pytest.mark.parametrize("texts", [[b"the cat"], [b"the cat"] * 3, [b"the cat", b"two words"]])
def test_few_examples_do_not_hide_padding(texts: list[bytes]) -> None:
    infos = TensorInfo("x", "x:0", "string", (None,)), TensorInfo("y", "y:0", "float32", (None,))
    examples = [{"x": np.array([text], object)} for text in texts]
    check = check_batches(_text_mean, Signature("s", infos[:1], infos[1:]), examples)
    assert check.obstacle == "y is different in a batch"
    assert check.inputs == examples[0]


def _maximum(x: Any) -> Any:
    """A model that only large numbers show to mix its rows up."""
    return x - np.maximum(x.max(axis=0, keepdims=True), 100)


@pytest.mark.parametrize(
    ("function", "dtype", "values"),
    [
        (_maximum, "float32", "floats around 1000 and -1000"),
        (lambda x: x - np.minimum(x.min(axis=0), -100), "float32", "floats around 1000 and -1000"),
        (_maximum, "int32", "whole numbers around 1000"),
        (lambda x: np.exp(x) - np.exp(np.minimum(x.min(axis=0), 0)), "float16", "floats around 1 and -1"),
    ],
)
def test_larger_numbers_show_rows_that_mix(function: Any, dtype: str, values: str) -> None:
    infos = TensorInfo("x", "x:0", dtype, (None, 1)), TensorInfo("y", "y:0", dtype, (None, 1))
    with np.errstate(all="ignore"):
        check = check_batches(
            lambda _, inputs: {"y": function(inputs["x"]).astype(dtype)}, Signature("s", infos[:1], infos[1:])
        )
    assert check.obstacle == f"y is different in a batch of {values}"
    assert check.inputs is not None


def _rejects_large(x: Any) -> Any:
    if np.abs(x).max() > 100:
        raise BadInputError("too large")
    return x


def _fails_on_negative(x: Any) -> Any:
    if x.min() < 0:
        raise RuntimeError("negative")
    return x


@pytest.mark.parametrize(
    ("function", "left_out"),
    [
        (_rejects_large, ("floats around 1000 and -1000: too large",)),
        (
            lambda x: np.exp(x.astype(np.float16)),
            ("floats around 1000 and -1000: the outputs are not finite",),
        ),
        (
            _fails_on_negative,
            ("floats around 1000 and -1000: negative", "floats around 1 and -1: negative"),
        ),
        # A batch of one is rounded otherwise, and large numbers make much of it.
        (lambda x: np.sin(x * (1 + 1e-7 * (len(x) == 1)) * 100), ()),
    ],
)
def test_numbers_that_do_not_run_leave_batches_on(function: Any, left_out: tuple[str, ...]) -> None:
    with np.errstate(over="ignore"):
        check = check_batches(lambda _, inputs: {"y": function(inputs["x"])}, _signature())
    assert (check.obstacle, check.left_out) == ("", left_out)


def test_places_in_a_table_stay_small() -> None:
    infos = TensorInfo("x", "x:0", "int64", (None, 4)), TensorInfo("y", "y:0", "float32", (None, 4))
    table = np.arange(10, dtype=np.float32)

    def run(name: str, inputs: Any) -> Any:
        return {"y": table[inputs["x"]]}

    check = check_batches(run, Signature("s", infos[:1], infos[1:]))
    assert check.batched
    assert [each.partition(":")[0] for each in check.left_out] == ["whole numbers around 1000"]


def test_one_example_does_not_hide_rows_that_mix() -> None:
    examples = [{"x": np.ones((1, 2), np.float32)}]
    check = check_batches(lambda _, inputs: {"y": _maximum(inputs["x"])}, _signature(), examples)
    assert check.obstacle == "y is different in a batch of floats around 1000 and -1000"


def test_unwanted_batches_are_not_tried() -> None:
    sizes: list[int] = []

    def run(name: str, inputs: Any) -> Any:
        sizes.append(len(inputs["x"]))
        return {"y": inputs["x"]}

    check = check_batches(run, _signature(), unwanted="batch is false")
    assert (check.obstacle, sizes) == ("batch is false", [1])


def test_equal_rows_are_told() -> None:
    infos = TensorInfo("x", "x:0", "string", (None,)), TensorInfo("y", "y:0", "float32", (None,))
    signature = Signature("s", infos[:1], infos[1:])

    def run(name: str, inputs: Any) -> Any:
        return {"y": np.array([float(len(text)) for text in inputs["x"]], np.float32)}

    def mixed(name: str, inputs: Any) -> Any:
        return {"y": run(name, inputs)["y"][::-1]}

    of_examples = GraphFacts(parses=True)
    check = check_batches(run, signature, graph=of_examples)
    assert (check.batched, check.alike) == (True, True)
    assert not check_batches(run, signature, graph=GraphFacts(decodes=True)).alike
    assert not check_batches(run, signature).alike
    assert check_batches(mixed, signature, graph=GraphFacts(decodes=True)).obstacle
    three = [{"x": np.array([text], object)} for text in (b"a", b"bb", b"ccc")]
    assert not check_batches(run, signature, three, of_examples).alike


@pytest.mark.parametrize(("count", "batched"), [(1, False), (2, False), (3, True)])
def test_few_examples_run_alone_where_none_can_be_made(count: int, batched: bool) -> None:
    def run(name: str, inputs: Any) -> Any:
        if (inputs["x"] < 5).any():
            raise BadInputError("too small")
        return {"y": inputs["x"]}

    examples = [{"x": np.full((1, 2), 5 + number, np.float32)} for number in range(count)]
    check = check_batches(run, _signature(), examples)
    assert check.batched == batched
    assert check.inputs == examples[0]
    assert batched or check.obstacle.endswith("no generated inputs fit: too small")


@pytest.mark.parametrize(
    ("found", "expected", "same"),
    [
        (np.array([1.0, 1000.01]), np.array([1.0, 1000.0]), True),
        (np.array([1.0, 1001.0]), np.array([1.0, 1000.0]), False),
        (np.array([np.nan]), np.array([np.nan]), True),
        (np.array([1.0], ml_dtypes.bfloat16), np.array([1.01], ml_dtypes.bfloat16), True),
        (np.array([1, 2]), np.array([1, 3]), False),
        (np.array([b"a"], object), np.array([b"a"], object), True),
        (np.array([1j]), np.array([2j]), False),
        (np.zeros(2), np.zeros(3), False),
    ],
)
def test_numbers_are_near_but_for_rounding(found: Any, expected: Any, same: bool) -> None:
    assert near(found, expected) == same
