"""A SavedModel's variables become constants where nothing else is lost by that."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.graphs import SIZE, write_saved_model
from tests.support.pictures import COLOURS, picture, write_labels
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference import Classifier
from tfleet.worker.model import find_model
from tfleet.worker.model.freeze import freeze
from tfleet.worker.model.graph import restore_saved_model
from tfleet.worker.model.open import open_model
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process


SPEC = tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32, name="picture")
IMAGES = np.random.default_rng(0).random((3, SIZE, SIZE, 3), dtype=np.float32)


def save(folder: Path, answer: Callable[..., Any], **parts: Any) -> Path:
    """A SavedModel that answers with `answer` of itself and the share of each colour, and has these parts."""
    module = tf.Module()
    for name, part in parts.items():
        setattr(module, name, part)

    def serve(picture: Any) -> Any:
        return {"shares": tf.nn.softmax(answer(module, tf.reduce_mean(picture, [1, 2])))}

    tf.saved_model.save(module, str(folder), signatures=tf.function(serve, input_signature=[SPEC]))
    write_labels(folder)
    (folder / "model.toml").write_text("[input]\nstd = 255\n")
    return folder


def counted(module: Any, means: Any) -> Any:
    module.count.assign_add(1.0)
    return means * module.count


def looked_up(module: Any, means: Any) -> Any:
    keys = tf.cast(tf.argmax(means, 1), tf.int64)
    return means * module.weight * tf.cast(module.table.lookup(keys), tf.float32)[:, None]


def branched(module: Any, means: Any) -> Any:
    return tf.cond(tf.reduce_sum(means) > 0, lambda: means * module.weight, lambda: means + module.weight)


def repeated(module: Any, means: Any) -> Any:
    return tf.while_loop(lambda n, _: n < 3, lambda n, m: (n + 1, m * module.weight), (0, means))[1]


def table() -> Any:
    rows = tf.lookup.KeyValueTensorInitializer(
        tf.range(3, dtype=tf.int64), tf.constant([2, 3, 4], dtype=tf.int64)
    )
    return tf.lookup.StaticHashTable(rows, 1)


def answers(folder: Path) -> tuple[Any, Any, Any]:
    """The rows of the restored model, those of its frozen graph, and that graph."""
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        signature = restore_saved_model(session, folder).signatures["serving_default"]
        feed, fetch = signature.inputs[0].tensor, signature.outputs[0].tensor
        restored = session.run(fetch, {feed: IMAGES})
        graph = freeze(session, session.graph.as_graph_def(), [feed], [fetch])
    with tf.compat.v1.Session(graph=graph) as session:
        return restored, session.run(fetch, {feed: IMAGES}), graph


@pytest.mark.parametrize("answer", [lambda m, x: x * m.weight, branched, repeated])
def test_a_frozen_graph_gives_the_same_answers(tmp_path: Path, answer: Callable[..., Any]) -> None:
    folder = save(tmp_path / "m" / "1", answer, weight=tf.Variable([1.0, 2.0, 3.0]))
    restored, frozen, graph = answers(folder)
    np.testing.assert_allclose(frozen, restored, atol=1e-6)
    definition = graph.as_graph_def()
    bodies = [function.node_def for function in definition.library.function]
    types = {node.op for nodes in (definition.node, *bodies) for node in nodes}
    assert not {"VarHandleOp", "ReadVariableOp", "RestoreV2"} & types


def test_variables_of_tensorflow_1_are_frozen_too(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        image = tf.compat.v1.placeholder(tf.float32, SPEC.shape, name="image")
        weight = tf.compat.v1.get_variable("weight", initializer=[1.0, 2.0, 3.0], use_resource=False)
        rows = tf.nn.softmax(tf.reduce_mean(image, [1, 2]) * weight)
        session.run(weight.initializer)
        tf.compat.v1.saved_model.simple_save(session, str(folder), {"image": image}, {"rows": rows})
    restored, frozen, graph = answers(folder)
    np.testing.assert_allclose(frozen, restored, atol=1e-6)
    assert "VariableV2" not in {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize(
    ("answer", "parts", "reason"),
    [
        (counted, lambda: {"count": tf.Variable(1.0)}, "it assigns to a variable (AssignAddVariableOp)"),
        (
            looked_up,
            lambda: {"weight": tf.Variable(2.0), "table": table()},
            "it has a HashTableV2, which is not a variable",
        ),
    ],
)
def test_an_unfreezable_model_is_served_with_a_warning(
    tmp_path: Path, answer: Callable[..., Any], parts: Callable[[], Any], reason: str
) -> None:
    classifier = Classifier.load(find_model(save(tmp_path / "m" / "1", answer, **parts())))
    assert classifier.form == f"a SavedModel with its variables: {reason}"
    classifier.warm_up((1, 2))
    images = [classifier.prepare(picture(colour), ImageLimits()) for colour in COLOURS]
    assert [int(row.argmax()) for row in classifier.run(images)] == [0, 1, 2]
    classifier.close()


def test_an_unused_input_stays_in_the_frozen_graph(tmp_path: Path) -> None:
    weight = tf.Variable([[0.1, 0.2, 0.7]])
    folder = save(tmp_path / "m" / "1", lambda m, x: tf.repeat(m.weight, tf.shape(x)[0], 0), weight=weight)
    restored, frozen, _ = answers(folder)
    np.testing.assert_allclose(frozen, restored, atol=1e-6)
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        fetch = restore_saved_model(session, folder).signatures["serving_default"].outputs[0].tensor
        graph = freeze(session, session.graph.as_graph_def(), ["serving_default_picture:0"], [fetch])
    assert graph.get_tensor_by_name("serving_default_picture:0").shape.rank == 4


def test_no_file_is_written(tmp_path: Path) -> None:
    folder = write_saved_model(tmp_path / "m" / "1")
    write_labels(folder)
    (folder / "model.toml").write_text("[input]\nstd = 255\n")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    opened = open_model(find_model(folder), lambda graph: tf.compat.v1.Session(graph=graph))
    opened.session.close()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
