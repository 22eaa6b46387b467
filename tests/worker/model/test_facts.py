"""Each fact of a model has a value and a source, and what is in doubt is refused and not guessed."""

from pathlib import Path
from typing import Any

import pytest

from tfleet.worker.image.geometry import Scaling
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.facts import Fact, Source, activation_of, find_facts, scaling_of
from tfleet.worker.model.graph_facts import GraphFacts, PixelRange
from tfleet.worker.model.kind import ModelKind
from tfleet.worker.model.signature import Signature, TensorInfo
from tfleet.worker.model.spec import InputSpec, ModelSpec, OutputSpec, ServingSpec

IMAGE = TensorInfo("image", "image:0", "float32", (None, 8, 8, 3))
TABLE = Signature(
    "serving_default",
    (TensorInfo("G", "G:0", "float32", (None, 3)),),
    (TensorInfo("p", "p:0", "float32", (None, 1)),),
)
TOML = Path("m/model.toml")


def _spec(
    image: Any = None, output: Any = None, described_by: Path | None = None, **serving: Any
) -> ModelSpec:
    return ModelSpec(
        "m",
        "1",
        Path("m"),
        (),
        InputSpec(**image or {}),
        OutputSpec(**output or {}),
        described_by,
        ServingSpec(**serving),
    )


@pytest.mark.parametrize(
    ("spec", "pixels", "fact"),
    [
        (_spec({"mean": (1.0,)}), PixelRange.BYTES, Fact(Scaling((1.0,), (255.0,)), Source.OPTION)),
        (_spec({"std": (2.0,)}, None, TOML), None, Fact(Scaling((0.0,), (2.0,)), Source.MANIFEST)),
        (_spec(), PixelRange.BYTES, Fact(None, Source.MODEL)),
        (_spec({"size": (8, 8)}), PixelRange.BYTES, Fact(None, Source.MODEL)),
        (_spec(), PixelRange.UNIT, Fact(Scaling(), Source.MODEL)),
        (_spec({"size": (8, 8)}), None, Fact(Scaling(), Source.DEFAULT)),
    ],
)
def test_scaling_is_stated_or_found_or_today_s(
    spec: ModelSpec, pixels: PixelRange | None, fact: Fact[Scaling | None]
) -> None:
    assert scaling_of(spec, IMAGE, pixels) == fact


@pytest.mark.parametrize(
    ("described_by", "setting"),
    [
        (None, "set --input-mean 0 --input-std 255 for"),
        (TOML, r"set mean = 0 and std = 255 in \[input\] of m/model.toml for"),
    ],
)
def test_nothing_said_of_float_pixels_is_refused(described_by: Path | None, setting: str) -> None:
    with pytest.raises(ModelError, match=f"nothing says how the input image .* is scaled: {setting}"):
        scaling_of(_spec(None, None, described_by), IMAGE, None)


def test_bytes_are_taken_as_they_are() -> None:
    whole = TensorInfo("image", "image:0", "uint8", (None, 8, 8, 3))
    assert scaling_of(_spec(), whole, None) == Fact(None, Source.MODEL)
    with pytest.raises(ModelError, match="takes unscaled pixels: remove --input-mean and --input-std"):
        scaling_of(_spec({"mean": (1.0,)}), whole, None)


@pytest.mark.parametrize(
    ("stated", "own", "fact"),
    [
        (None, None, Fact("none", Source.DEFAULT)),
        (None, "softmax", Fact("softmax", Source.MODEL)),
        (None, "sigmoid", Fact("sigmoid", Source.MODEL)),
        ("softmax", None, Fact("softmax", Source.OPTION)),
        ("none", None, Fact("none", Source.OPTION)),
        ("none", "sigmoid", Fact("sigmoid", Source.MODEL)),
    ],
)
def test_an_activation_is_the_graph_s_or_stated(stated: Any, own: Any, fact: Fact[Any]) -> None:
    assert activation_of(_spec(None, {"activation": stated}), GraphFacts(activation=own)) == fact


def test_a_second_activation_is_refused() -> None:
    with pytest.raises(
        ModelError, match=r"is a softmax already, and output.activation in .* apply a softmax"
    ):
        activation_of(_spec(None, {"activation": "softmax"}, TOML), GraphFacts(activation="softmax"))


def test_a_kind_is_found_or_stated() -> None:
    facts = find_facts(_spec(), TABLE, GraphFacts())
    assert facts.kind == Fact(ModelKind.TABLE, Source.MODEL)
    assert str(facts.kind) == "table (from the model)"
    stated = find_facts(_spec(None, None, TOML, kind=ModelKind.TENSORS), TABLE, GraphFacts())
    assert stated.kind == Fact(ModelKind.TENSORS, Source.MANIFEST)
    sized = find_facts(_spec({"size": (8, 8)}), TABLE, GraphFacts())
    assert sized.kind == Fact(ModelKind.IMAGE, Source.OPTION)


def test_columns_name_each_number_of_the_vector() -> None:
    facts = find_facts(_spec(None, None, TOML, columns=("a", "b", "c")), TABLE, GraphFacts())
    assert facts.columns == Fact(("a", "b", "c"), Source.MANIFEST)
    with pytest.raises(ModelError, match=r"model.columns in .* has 2 names, but the input G .* takes 3"):
        find_facts(_spec(None, None, TOML, columns=("a", "b")), TABLE, GraphFacts())
    text = Signature("s", (TensorInfo("t", "t:0", "string", (None,)),), TABLE.outputs)
    with pytest.raises(ModelError, match="is for a table model that takes its numbers as one vector"):
        find_facts(_spec(None, None, TOML, columns=("a",)), text, GraphFacts())


def test_a_model_of_several_signatures_may_have_no_default() -> None:
    facts = find_facts(_spec(), None, GraphFacts())
    assert (facts.kind.value, facts.signature.value) == (ModelKind.TENSORS, None)
