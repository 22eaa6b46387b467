"""An operator who named a tensor that is not there is told what is."""

from tests.worker.model.graphs import pixel_graph
from tfleet.worker.model.endpoints import describe, inputs_offered, outputs_offered
from tfleet.worker.model.graph import Signature
from tfleet.worker.model.tensorflow import tf


def test_the_placeholders_are_offered_as_inputs() -> None:
    with tf.Graph().as_default() as graph:
        pixel_graph()
        assert inputs_offered(graph, None) == "the graph's placeholders are image:0 float32[?, 8, 8, 3]"


def test_the_last_results_are_offered_as_outputs_best_first() -> None:
    with tf.Graph().as_default() as graph:
        pixel_graph()
        assert outputs_offered(graph, None).startswith(
            "the graph's last results are shares:0 float32[?, 3], "
        )


def test_no_more_is_shown_than_fits_a_line() -> None:
    with tf.Graph().as_default() as graph:
        for number in range(100):
            tf.nn.relu(tf.compat.v1.placeholder(tf.float32, [None, 3], name=f"in{number}"))
        assert inputs_offered(graph, None).count("float32") == 5
        assert outputs_offered(graph, None).count("float32") == 5


def test_a_signature_goes_before_the_graph() -> None:
    signature = Signature({"picture": "a:0"}, {"shares": "b:0", "logits": "c:0"})
    assert inputs_offered(tf.Graph(), signature) == "the signature's inputs are picture"
    assert outputs_offered(tf.Graph(), signature) == "the signature's outputs are shares, logits"


def test_a_graph_without_inputs_or_outputs_says_so() -> None:
    assert inputs_offered(tf.Graph(), None) == "the graph has no placeholder"
    assert outputs_offered(tf.Graph(), Signature({}, {})) == "the graph has no output of that kind"


def test_an_unknown_shape_is_a_question_mark() -> None:
    with tf.Graph().as_default():
        assert describe(tf.compat.v1.placeholder(tf.uint8, name="x")) == "x:0 uint8?"
