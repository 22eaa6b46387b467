"""Frozen graphs and SavedModels are loaded, or refused in one line."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.graphs import SIZE, pixel_graph, write_graph, write_saved_model
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.graph import load_frozen, restore_saved_model
from tfleet.worker.model.signature import TensorInfo
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process


@pytest.fixture
def session() -> Iterator[Any]:
    session = tf.compat.v1.Session(graph=tf.Graph())
    yield session
    session.close()


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_saved_model(tmp_path_factory.mktemp("saved") / "model")


def test_a_frozen_graph_has_its_own_names(tmp_path: Path) -> None:
    graph = load_frozen(write_graph(tmp_path / "graph.pb", pixel_graph))
    assert graph.get_tensor_by_name("shares:0").shape.as_list() == [None, 3]


@pytest.mark.parametrize("content", [b"This is no graph.", bytes(range(256)), b""])
def test_garbage_is_not_a_frozen_graph(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "graph.pb"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"graph\.pb: is not a frozen graph"):
        load_frozen(path)


def test_a_truncated_graph_is_refused(tmp_path: Path) -> None:
    path = write_graph(tmp_path / "graph.pb", pixel_graph)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ModelError, match="or is cut off"):
        load_frozen(path)


def test_an_unreadable_graph_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read: Is a directory"):
        load_frozen(tmp_path)


def test_an_operation_that_does_not_exist_is_named(tmp_path: Path) -> None:
    definition = tf.compat.v1.GraphDef()
    definition.node.add(name="a", op="NoSuchOperation")
    (tmp_path / "graph.pb").write_bytes(definition.SerializeToString())
    with pytest.raises(ModelError, match=r"cannot load the graph: .*NoSuchOperation"):
        load_frozen(tmp_path / "graph.pb")


def test_a_graph_with_loose_ends_is_refused(tmp_path: Path) -> None:
    definition = tf.compat.v1.GraphDef()
    definition.node.add(name="a", op="Relu", input=["nothing"]).attr["T"].type = tf.float32.as_datatype_enum
    (tmp_path / "graph.pb").write_bytes(definition.SerializeToString())
    with pytest.raises(ModelError, match=r"Unknown input node 'nothing'"):
        load_frozen(tmp_path / "graph.pb")


def test_a_saved_model_is_restored_with_its_signature(session: Any, saved_model: Path) -> None:
    signature = restore_saved_model(session, saved_model).signatures["serving_default"]
    picture = TensorInfo("picture", "serving_default_picture:0", "float32", (None, SIZE, SIZE, 3))
    assert signature.inputs == (picture,)
    assert [info.name for info in signature.outputs] == ["shares"]


def test_a_saved_model_without_a_signature_has_none(session: Any, tmp_path: Path) -> None:
    folder = write_saved_model(tmp_path / "model", signature=False)
    assert restore_saved_model(session, folder).signatures == {}


def test_a_saved_model_without_the_tag_is_refused(session: Any, tmp_path: Path) -> None:
    builder = tf.compat.v1.saved_model.Builder(str(tmp_path / "model"))
    with tf.Graph().as_default(), tf.compat.v1.Session() as other:
        tf.constant(1.0)
        builder.add_meta_graph_and_variables(other, ["train"])
    builder.save()
    with pytest.raises(ModelError, match=r"with tag 'serve': .*available tags.*train"):
        restore_saved_model(session, tmp_path / "model")


def test_a_saved_model_without_its_variables_is_refused(
    session: Any, saved_model: Path, tmp_path: Path
) -> None:
    shutil.copytree(saved_model, tmp_path / "model")
    shutil.rmtree(tmp_path / "model" / "variables")
    with pytest.raises(ModelError, match="cannot load the SavedModel"):
        restore_saved_model(session, tmp_path / "model")


def test_a_damaged_saved_model_is_refused(session: Any, tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"This is no model.")
    with pytest.raises(ModelError, match="cannot load the SavedModel"):
        restore_saved_model(session, tmp_path)
