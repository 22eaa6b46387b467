"""A graph's input and output are found by name and checked against what is said of them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tests.support.graphs import SIZE, pixel_graph
from tests.support.pictures import COLOURS
from tfleet.worker.image.geometry import Geometry, Scaling
from tfleet.worker.model.endpoints import (
    EncodedInput,
    PixelInput,
    check_classes,
    describe,
    find_input,
    find_output,
    list_inputs,
    list_outputs,
)
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.pixel_layout import PixelLayout
from tfleet.worker.model.served_signatures import served_signatures
from tfleet.worker.model.signature import Signature, TensorInfo
from tfleet.worker.model.spec import InputSpec, ModelSpec, OutputSpec
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process


def _spec(output: str | None = "shares", labels: tuple[str, ...] = COLOURS, **image_input: Any) -> ModelSpec:
    return ModelSpec("m", "1", Path("graph.pb"), labels, InputSpec(**image_input), OutputSpec(output))


def _signature(
    inputs: Mapping[str, str] = MappingProxyType({}), outputs: Mapping[str, str] = MappingProxyType({})
) -> Signature:
    return Signature("serving_default", _infos(inputs), _infos(outputs))


def _infos(tensors: Mapping[str, str]) -> tuple[TensorInfo, ...]:
    return tuple(TensorInfo(name, tensor, "float32", None) for name, tensor in tensors.items())


def _input(spec: ModelSpec, graph: Any) -> PixelInput | EncodedInput:
    """The input of a frozen graph."""
    served = served_signatures(replace(spec, output=OutputSpec()), graph, None)
    return find_input(spec, graph, served.by_name["serving_default"])


def _output(spec: ModelSpec, graph: Any) -> Any:
    """The output of a frozen graph that takes batches of images."""
    served = served_signatures(spec, graph, None)
    feed = EncodedInput(None, None, scalar=False)
    return find_output(spec, graph, served.by_name["serving_default"], feed)


def _placeholder(dtype: Any, shape: Any) -> tf.Graph:
    with tf.Graph().as_default() as graph:
        tf.compat.v1.placeholder(dtype, shape, name="image")
    return graph


@pytest.mark.parametrize("name", ["image", "image:0"])
def test_a_tensor_is_found_with_and_without_its_number(name: str) -> None:
    graph = _placeholder(tf.float32, [None, SIZE, SIZE, 3])
    feed = _input(_spec(tensor=name), graph)
    layout = PixelLayout(True, None, SIZE, SIZE, 3)
    assert feed == PixelInput(graph.get_tensor_by_name("image:0"), layout, Geometry(SIZE, SIZE), Scaling())


@pytest.mark.parametrize("shape", [None, [None, None, None, None], [None, None, None, 3]])
def test_a_size_that_the_graph_leaves_open_has_to_be_said(shape: Any) -> None:
    graph = _placeholder(tf.float32, shape)
    with pytest.raises(ModelError, match=r"does not state its size: set --input-size"):
        _input(_spec(tensor="image"), graph)
    feed = _input(_spec(tensor="image", size=(5, 7), crop=0.5, resample="bicubic"), graph)
    assert isinstance(feed, PixelInput)
    assert feed.geometry == Geometry(5, 7, 0.5, "bicubic")


def test_a_size_other_than_the_graphs_is_refused() -> None:
    with pytest.raises(
        ModelError, match=r"--input-size is 9 x 9, but the input is image:0 float32\[\?, 8, 8, 3\]"
    ):
        _input(_spec(tensor="image", size=(9, 9)), _placeholder(tf.float32, [None, 8, 8, 3]))


def test_the_scaling_is_the_one_that_is_said() -> None:
    graph = _placeholder(tf.float32, [None, 8, 8, 3])
    feed = _input(_spec(tensor="image", mean=(127.0,), std=(128.0,)), graph)
    assert isinstance(feed, PixelInput)
    assert feed.scaling == Scaling((127.0,), (128.0,))


def test_byte_inputs_cannot_be_scaled() -> None:
    graph = _placeholder(tf.uint8, [None, 8, 8, 3])
    feed = _input(_spec(tensor="image"), graph)
    assert isinstance(feed, PixelInput)
    assert feed.scaling is None
    with pytest.raises(ModelError, match="takes unscaled pixels: remove --input-mean and --input-std"):
        _input(_spec(tensor="image", mean=(127.0,)), graph)


@pytest.mark.parametrize(
    ("shape", "batch", "scalar"), [([], 1, True), ([None], None, False), ([1], 1, False), ([4], 4, False)]
)
def test_strings_are_images_to_be_decoded_by_the_graph(shape: Any, batch: int | None, scalar: bool) -> None:
    feed = _input(_spec(tensor="image"), _placeholder(tf.string, shape))
    assert isinstance(feed, EncodedInput)
    assert (feed.batch, feed.scalar) == (batch, scalar)


@pytest.mark.parametrize(
    ("dtype", "shape", "problem"),
    [
        (
            tf.bool,
            [None, 8, 8, 3],
            r"image:0 bool\[\?, 8, 8, 3\] takes neither pixels .* nor encoded images",
        ),
        (tf.float32, [None, 8, 8, 2], "is not a batch of images"),
        (tf.float32, [8, 3], "is not a batch of images"),
        (tf.string, [None, None], "is neither a string nor a vector of strings"),
        (tf.string, None, "is neither a string nor a vector of strings"),
    ],
)
def test_an_input_that_takes_no_images_is_refused(dtype: Any, shape: Any, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        _input(_spec(tensor="image"), _placeholder(dtype, shape))


@pytest.mark.parametrize("name", ["picture", "image:1", "image:x", ":", "a:b:c"])
def test_a_missing_input_is_named_with_the_existing_ones(name: str) -> None:
    with pytest.raises(
        ModelError, match=r"has no tensor '.*' \(--input-layer\); the graph's placeholders are image:0"
    ):
        _input(_spec(tensor=name), _placeholder(tf.float32, [None, 8, 8, 3]))


def test_a_graph_without_an_input_is_refused() -> None:
    with tf.Graph().as_default() as graph:
        tf.zeros([1, 3], name="shares")
    with pytest.raises(ModelError, match="set --input-layer: there is none; the graph has no placeholder"):
        _input(_spec(), graph)


def test_an_input_that_cannot_be_fed_is_refused() -> None:
    with tf.Graph().as_default() as graph:
        graph.prevent_feeding(tf.constant(1.0, name="image"))
    with pytest.raises(ModelError, match="cannot be fed"):
        _input(_spec(tensor="image"), graph)


@pytest.mark.parametrize("name", [None, "picture", "image:0"])
def test_the_signature_names_the_input_by_default(name: str | None) -> None:
    graph = _placeholder(tf.float32, [None, 8, 8, 3])
    spec = _spec(None, tensor=name, std=(255.0,))
    served = served_signatures(spec, graph, {"serving_default": _signature({"picture": "image:0"})})
    feed = find_input(spec, graph, served.by_name["serving_default"])
    assert feed.tensor is graph.get_tensor_by_name("image:0")


def test_of_several_in_a_signature_one_has_to_be_chosen() -> None:
    signature = _signature({"a": "image:0", "b": "image:0"})
    with pytest.raises(
        ModelError, match=r"there is more than one; the signature's inputs are a float32\?, b float32\?"
    ):
        find_input(_spec(), _placeholder(tf.float32, [None, 8, 8, 3]), signature)


def test_an_output_is_a_row_of_probabilities_for_each_image() -> None:
    with tf.Graph().as_default() as graph:
        pixel_graph()
    assert _output(_spec(), graph) is graph.get_tensor_by_name("shares:0")


def test_both_numbers_are_said_where_labels_and_classes_differ() -> None:
    with tf.Graph().as_default() as graph:
        pixel_graph()
    with pytest.raises(ModelError, match="the graph has 3 classes and there are 2 labels"):
        _output(_spec(labels=("a", "b")), graph)


def test_one_class_and_one_label_are_said_in_the_singular() -> None:
    with pytest.raises(ModelError, match="the graph has 1 class and there are 3 labels"):
        check_classes(_spec(labels=("a", "b", "c")), 1)
    with pytest.raises(ModelError, match=r"the graph has 3 classes and there is 1 label$"):
        check_classes(_spec(labels=("a",)), 3)


@pytest.mark.parametrize(
    ("build", "described"),
    [
        (lambda: tf.zeros([3], name="shares"), r"shares:0 float32\[3\]"),
        (lambda: tf.zeros([1, 2, 3], name="shares"), r"shares:0 float32\[1, 2, 3\]"),
        (lambda: tf.zeros([1, 3], tf.int64, name="shares"), r"shares:0 int64\[1, 3\]"),
    ],
)
def test_an_output_of_another_kind_is_refused(build: Any, described: str) -> None:
    with tf.Graph().as_default() as graph:
        build()
    with pytest.raises(ModelError, match=f"the output {described} is not a row of probabilities"):
        _output(_spec(), graph)


def test_a_missing_output_is_named_with_the_existing_ones() -> None:
    with tf.Graph().as_default() as graph:
        pixel_graph()
    with pytest.raises(ModelError, match=r"has no tensor 'final_result' \(--output-layer\); .* are shares:0"):
        _output(_spec("final_result"), graph)


def test_the_placeholders_are_offered_as_inputs() -> None:
    with tf.Graph().as_default() as graph:
        pixel_graph()
        assert list_inputs(graph, None) == "the graph's placeholders are image:0 float32[?, 8, 8, 3]"


def test_the_last_results_are_offered_as_outputs_best_first() -> None:
    with tf.Graph().as_default() as graph:
        pixel_graph()
        assert list_outputs(graph, None).startswith("the graph's last results are shares:0 float32[?, 3], ")


def test_no_more_is_shown_than_fits_a_line() -> None:
    with tf.Graph().as_default() as graph:
        for number in range(100):
            tf.nn.relu(tf.compat.v1.placeholder(tf.float32, [None, 3], name=f"in{number}"))
        assert list_inputs(graph, None).count("float32") == 5
        assert list_outputs(graph, None).count("float32") == 5


def test_a_signature_goes_before_the_graph() -> None:
    signature = _signature({"picture": "a:0"}, {"logits": "c:0", "shares": "b:0"})
    assert list_inputs(tf.Graph(), signature) == "the signature's inputs are picture float32?"
    assert (
        list_outputs(tf.Graph(), signature) == "the signature's outputs are logits float32?, shares float32?"
    )


def test_a_graph_without_inputs_or_outputs_says_so() -> None:
    assert list_inputs(tf.Graph(), None) == "the graph has no placeholder"
    assert list_outputs(tf.Graph(), _signature()) == "the graph has no output of that kind"


def test_an_unknown_shape_is_a_question_mark() -> None:
    with tf.Graph().as_default():
        assert describe(tf.compat.v1.placeholder(tf.uint8, name="x")) == "x:0 uint8?"
