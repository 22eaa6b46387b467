"""Operations that TensorFlow does not have."""

import subprocess
from pathlib import Path

import pytest

from tests.support.worker_process import COMMAND
from tfleet.worker.model.missing_ops import describe_missing, missing_ops, package_of, registered_ops


@pytest.mark.process
def test_the_list_is_what_tensorflow_has() -> None:
    from tfleet.worker.model.tensorflow import tf  # noqa: PLC0415 - most tests here do without TensorFlow
    from tools.registered_ops import registered  # noqa: PLC0415 - imports TensorFlow

    if tf.__version__ != registered_ops().version:
        pytest.skip(f"the list is of TensorFlow {registered_ops().version}")
    # Loading a library, as other tests may do, registers more.
    assert registered_ops().names <= set(registered())
    assert len(registered_ops().names) > 1800


def test_what_the_list_lacks_is_missing() -> None:
    assert missing_ops({"MatMul", "SentencepieceOp", "Nope", "While"}) == ("Nope", "SentencepieceOp")


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ("SentencepieceOp", "SentencepieceOp (tensorflow-text)"),
        ("SimpleMLInferenceOpWithHandle", "SimpleMLInferenceOpWithHandle (tensorflow-decision-forests)"),
        ("Addons>Rotate", "Addons>Rotate (tensorflow-addons)"),
        ("Nope", "Nope"),
    ],
)
def test_the_package_of_an_operation_is_named(operation: str, said: str) -> None:
    assert describe_missing(operation) == said


def test_no_operation_of_tensorflow_is_said_to_be_a_packages() -> None:
    assert {name: package_of(name) for name in registered_ops().names if package_of(name)} == {}


@pytest.mark.process
def test_a_worker_names_the_operation_that_it_lacks(tmp_path: Path) -> None:
    from tests.support.graphs import pixel_graph, write_graph  # noqa: PLC0415 - imports TensorFlow

    graph = write_graph(tmp_path / "graph.pb", pixel_graph)
    node = b"\x0a\x01t\x12\x0fSentencepieceOp"
    graph.write_bytes(graph.read_bytes() + b"\x0a" + bytes([len(node)]) + node)
    command = [*COMMAND, "--registry", "static:", "--model", str(graph)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"tfleet worker: {graph}: ")
    assert "it needs the operation SentencepieceOp (tensorflow-text)" in line
