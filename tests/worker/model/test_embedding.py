"""Which tensor is the embedding, and which vectors can be compared."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.graphs import pixel_graph, write_graph
from tfleet.worker.model.embedding import MOST_NUMBERS, Embedding, find_embedding, vector_space
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.signature import Signature, TensorInfo
from tfleet.worker.model.spec import InputSpec, ModelSpec, OutputSpec
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process


def _graph(**shapes: Any) -> Any:
    """A graph of a placeholder for each name, of these shapes."""
    with tf.Graph().as_default() as graph:
        for name, shape in shapes.items():
            tf.compat.v1.placeholder(tf.float32, shape, name=name)
        tf.compat.v1.placeholder(tf.int32, [None, 8], name="whole_numbers")
    return graph


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    path = write_graph(tmp_path / "graph.pb", pixel_graph)
    output = OutputSpec("shares", embedding="vector:0")
    return ModelSpec("m", "1", path, (), InputSpec(), output, described_by=tmp_path / "model.toml")


@pytest.mark.parametrize("shape", [(None, 8), (4, 8), (None, 1, 1, 8), (8, 8)])
def test_a_tensor_with_a_vector_per_image_is_found(spec: ModelSpec, shape: Any) -> None:
    assert find_embedding(spec, _graph(vector=shape), None) == Embedding("vector:0", 8)


def test_an_output_of_a_signature_may_be_the_one(spec: ModelSpec) -> None:
    own = Signature("serving_default", (), (TensorInfo("features", "unsized:0", "float32", (None, 8)),))
    named = replace(spec, output=OutputSpec("shares", embedding="features"))
    assert find_embedding(named, _graph(unsized=None), own) == Embedding("unsized:0", 8)
    with pytest.raises(ModelError, match=r"the signature's outputs are features float32\[\?, 8\]"):
        find_embedding(spec, _graph(unsized=None), own)


def test_a_model_that_names_none_has_none(spec: ModelSpec) -> None:
    plain = replace(spec, output=OutputSpec("shares"))
    assert find_embedding(plain, _graph(vector=(None, 8), pooled=(None, 8)), None) is None


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing", r"has no tensor 'missing' \(output.embedding in .*model.toml\)"),
        ("map:0", r"map:0 float32\[\?, 7, 7, 8\] .* is not a vector for each image: name a tensor of floats"),
        ("unknown", "is not a vector for each image"),
        ("unsized", "is not a vector for each image"),
        ("scalars", "is not a vector for each image"),
        ("whole_numbers", "is not a vector for each image"),
        ("long", f"numbers for an image, more than {MOST_NUMBERS}"),
    ],
)
def test_what_is_no_vector_is_refused(spec: ModelSpec, name: str, problem: str) -> None:
    graph = _graph(
        map=(None, 7, 7, 8),
        unknown=None,
        unsized=(None, None),
        scalars=(None,),
        long=(None, MOST_NUMBERS + 1),
    )
    named = replace(spec, output=OutputSpec("shares", embedding=name))
    with pytest.raises(ModelError, match=problem):
        find_embedding(named, graph, None)


def test_what_changes_vectors_changes_their_space(spec: ModelSpec, tmp_path: Path) -> None:
    space = vector_space(spec, "float32")
    others = [
        replace(spec, input=InputSpec(crop=0.5)),
        replace(spec, output=OutputSpec("shares", embedding="other:0")),
        replace(spec, path=write_graph(tmp_path / "other.pb", lambda: pixel_graph((None, 9, 9, 3)))),
    ]
    spaces = {space, vector_space(spec, "bfloat16"), *(vector_space(each, "float32") for each in others)}
    assert len(spaces) == 5


def test_what_changes_no_vector_keeps_their_space(spec: ModelSpec, tmp_path: Path) -> None:
    moved = Path(shutil.copy(spec.path, tmp_path / "moved.pb"))
    same = replace(
        spec, name="n", version="2", path=moved, labels=("a",), output=replace(spec.output, threshold=0.5)
    )
    assert vector_space(same, "float32") == vector_space(spec, "float32")


def test_a_missing_file_is_one_line(spec: ModelSpec) -> None:
    spec.path.unlink()
    with pytest.raises(ModelError, match=r"graph\.pb: cannot be read: No such file"):
        vector_space(spec, "float32")
