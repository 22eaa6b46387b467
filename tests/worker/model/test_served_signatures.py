"""A SavedModel serves its own signatures; a frozen graph those that are stated, or all that it has."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.graphs import pixel_graph
from tests.support.tensor_models import loop_graph
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.served_signatures import served_signatures
from tfleet.worker.model.signature import Signature, TensorInfo
from tfleet.worker.model.spec import InputSpec, ModelSpec, OutputSpec, ServingSpec, SignatureSpec
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process

X = TensorInfo("x", "x:0", "float32", (None, 2))
NOISE = TensorInfo("noise", "noise:0", "float32", (), optional=True)
TIMES = TensorInfo("times", "times:0", "int32", ())
DOUBLED = TensorInfo("doubled", "doubled:0", "float32", (None, 2))


def _spec(
    tensor: str | None = None,
    output: str | None = None,
    signature: str | None = None,
    signatures: Mapping[str, SignatureSpec] | None = None,
) -> ModelSpec:
    serving = ServingSpec(signature=signature, signatures=signatures or {})
    return ModelSpec("m", "1", Path("g"), (), InputSpec(tensor), OutputSpec(output), None, serving)


def _graph(build: Any = loop_graph) -> Any:
    with tf.Graph().as_default() as graph:
        build()
    return graph


def _own(*names: str) -> Mapping[str, Signature]:
    return {name: Signature(name, (X, NOISE), (DOUBLED,)) for name in names}


def test_a_whole_graph_is_its_placeholders_and_results() -> None:
    served = served_signatures(_spec(), _graph(), None)
    assert served.default == "serving_default"
    assert served.by_name == {"serving_default": Signature("serving_default", (NOISE, TIMES, X), (DOUBLED,))}


def test_several_tensors_are_named_with_commas() -> None:
    served = served_signatures(_spec("x:0, n=times:0", "result=doubled"), _graph(), None)
    (signature,) = served.by_name.values()
    assert [(info.name, info.tensor) for info in signature.inputs] == [("n", "times:0"), ("x", "x:0")]
    assert [(info.name, info.tensor) for info in signature.outputs] == [("result", "doubled:0")]


def test_stated_signatures_name_tensors_as_they_like() -> None:
    stated = {"twice": SignatureSpec({"v": "x", "n": "times:0"}, {"w": "doubled:0"})}
    served = served_signatures(_spec(signatures=stated), _graph(), None)
    (signature,) = served.by_name.values()
    assert served.default == "twice"
    assert [info.name for info in signature.inputs] == ["n", "v"]
    assert signature.outputs == (TensorInfo("w", "doubled:0", "float32", (None, 2)),)


def test_a_stated_tensor_that_is_missing_is_named() -> None:
    stated = {"twice": SignatureSpec({"v": "nothing:0"}, {"w": "doubled:0"})}
    with pytest.raises(ModelError, match=r"has no tensor 'nothing:0' \(signatures.twice in .*are x:0"):
        served_signatures(_spec(signatures=stated), _graph(), None)


def test_a_saved_model_keeps_its_signatures() -> None:
    own = _own("b", "serving_default")
    served = served_signatures(_spec(), _graph(), own)
    assert (served.by_name, served.default) == (own, "serving_default")
    with pytest.raises(ModelError, match="a SavedModel has its own signatures"):
        served_signatures(_spec(signatures={"a": SignatureSpec({}, {})}), _graph(), own)


def test_an_input_with_a_default_is_optional() -> None:
    plain = TensorInfo("noise", "noise:0", "float32", ())
    own = {"s": Signature("s", (X, plain), (DOUBLED,))}
    assert served_signatures(_spec(), _graph(), own).by_name["s"].inputs == (X, NOISE)


@pytest.mark.parametrize(
    ("names", "wanted", "default"),
    [(("a",), None, "a"), (("a", "b"), None, None), (("a", "b"), "b", "b")],
)
def test_the_default_is_stated_or_the_only_one(
    names: tuple[str, ...], wanted: str | None, default: str | None
) -> None:
    assert served_signatures(_spec(signature=wanted), _graph(), _own(*names)).default == default


def test_a_signature_that_is_missing_is_named() -> None:
    with pytest.raises(ModelError, match=r"has no signature 'c' \(--signature\); it has a, b"):
        served_signatures(_spec(signature="c"), _graph(), _own("a", "b"))


def test_a_saved_model_without_signatures_says_how_to_get_one() -> None:
    with pytest.raises(ModelError, match="has no signature: save it with signatures="):
        served_signatures(_spec(), _graph(), {})
    (signature,) = served_signatures(_spec("x", "doubled"), _graph(), {}).by_name.values()
    assert (signature.inputs, signature.outputs) == ((X,), (DOUBLED,))


def test_a_named_output_is_the_only_one() -> None:
    own = {"s": Signature("s", (X,), (DOUBLED, X))}
    served = served_signatures(_spec(output="doubled"), _graph(), own)
    assert served.by_name["s"] == Signature("s", (X,), (DOUBLED,))


def test_an_image_graph_is_a_graph_like_any_other() -> None:
    (signature,) = served_signatures(_spec(), _graph(pixel_graph), None).by_name.values()
    assert [str(info) for info in signature.inputs] == ["image float32[?, 8, 8, 3]"]
    assert [str(info) for info in signature.outputs] == ["shares float32[?, 3]"]
