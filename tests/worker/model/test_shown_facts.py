"""What was found out about a model, in words."""

from dataclasses import replace
from pathlib import Path

import pytest

from tfleet.worker.image.geometry import Scaling
from tfleet.worker.model.facts import find_facts
from tfleet.worker.model.graph_facts import GraphFacts
from tfleet.worker.model.kind import ModelKind
from tfleet.worker.model.shown_facts import input_size, scaling_text, shown_facts
from tfleet.worker.model.signature import Signature, TensorInfo
from tfleet.worker.model.spec import InputSpec, ModelSpec, OutputSpec, RunSpec, ServingSpec

OUTPUT = (TensorInfo("y", "y:0", "float32", (None, 5)),)


def _signature(shape: tuple[int | None, ...], dtype: str = "float32") -> Signature:
    return Signature("serving_default", (TensorInfo("x", "x:0", dtype, shape),), OUTPUT)


def _spec(**changes: object) -> ModelSpec:
    spec = ModelSpec("m", "1", Path("m/1"), (), InputSpec(), OutputSpec(), Path("m/1/model.toml"))
    return replace(spec, **changes)  # type: ignore[arg-type] # each test names fields of it


def _shown(spec: ModelSpec, signature: Signature) -> dict[str, tuple[str, str]]:
    facts = find_facts(spec, signature, GraphFacts())
    return {fact.name: (fact.value, str(fact.source)) for fact in shown_facts(spec, facts, signature)}


def test_a_table_has_no_preprocessing() -> None:
    spec = _spec(serving=ServingSpec(columns=("a", "b")))
    assert _shown(spec, _signature((None, 2))) == {
        "kind": ("table", "the model"),
        "stateful": ("no", "the model"),
        "batch": ("where the check allows it", "the default"),
        "columns": ("a, b", "model.toml"),
        "labels": ("none", "the default"),
    }


def test_batches_that_are_turned_off_are_shown() -> None:
    shown = _shown(_spec(serving=ServingSpec(runs=RunSpec(batch=False))), _signature((None, 2)))
    assert shown["batch"] == ("no", "model.toml")


def test_an_images_preprocessing_says_where_it_is_from() -> None:
    spec = _spec(
        labels=tuple("abcdefg"),
        input=InputSpec(crop=0.5, antialias=False, mean=(1, 2, 3), std=(4,)),
        serving=ServingSpec(kind=ModelKind.IMAGE),
    )
    shown = _shown(spec, _signature((None, 9, 7, 3)))
    assert shown["labels"] == ("7: a, b, c, d, e, ...", "the labels file")
    assert shown["size"] == ("9 x 7", "the model")
    assert shown["crop"] == ("0.5", "model.toml")
    assert shown["antialias"] == ("no", "model.toml")
    assert shown["resample"] == ("bilinear", "the default")
    assert shown["pixels"] == ("(pixel - [1, 2, 3]) / 4", "model.toml")


def test_a_grey_model_is_said_to_be_one() -> None:
    shown = _shown(_spec(input=InputSpec(mean=(0,), std=(255,))), _signature((None, 28, 28, 1)))
    assert shown["channels"] == ("grey", "the model")


@pytest.mark.parametrize(
    ("shape", "dtype", "size"),
    [
        ((None, 9, 7, 3), "float32", (9, 7)),
        ((None, 3, 9, 7), "float32", (9, 7)),
        ((None, None, None, 3), "float32", None),
        ((None,), "string", None),
        ((None, 10), "float32", None),
    ],
)
def test_the_size_follows_from_the_shape(
    shape: tuple[int | None, ...], dtype: str, size: tuple[int, int] | None
) -> None:
    assert input_size(_signature(shape, dtype)) == size


def test_scaling_is_a_formula() -> None:
    assert scaling_text(None) == "as they are, 0 to 255"
    assert scaling_text(Scaling((127.5,), (127.5,))) == "(pixel - 127.5) / 127.5"
