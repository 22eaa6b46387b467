"""Files of a SavedModel that are missing or cut off."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.graphs import write_saved_model
from tests.support.worker_process import COMMAND
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.find import find_model
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process

SHARD = "variables/variables.data-00000-of-00001"
INDEX = "variables/variables.index"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_saved_model(tmp_path_factory.mktemp("models") / "m" / "1")


@pytest.fixture
def model(tmp_path: Path, whole: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "m" / "1")


def test_a_whole_model_passes(model: Path) -> None:
    assert find_model(model).path == model


@pytest.mark.parametrize("missing", [1, 20])
def test_a_shard_that_is_cut_is_found(model: Path, missing: int) -> None:
    content = (model / SHARD).read_bytes()
    (model / SHARD).write_bytes(content[:-missing])
    said = f"{SHARD} is cut off: it has {len(content) - missing} of at least {len(content)} bytes"
    with pytest.raises(ModelError, match=said):
        find_model(model)


def test_a_missing_shard_is_found(model: Path) -> None:
    (model / SHARD).unlink()
    with pytest.raises(ModelError, match=f"{SHARD} is missing"):
        find_model(model)


def test_a_shard_that_git_lfs_left_out_is_told(model: Path) -> None:
    (model / SHARD).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ModelError, match="Git LFS pointer, not the weights"):
        find_model(model)


@pytest.mark.parametrize("size", [0, 10, 60])
def test_an_index_that_is_cut_is_found(model: Path, size: int) -> None:
    (model / INDEX).write_bytes((model / INDEX).read_bytes()[:size])
    with pytest.raises(ModelError, match=r"variables\.index: is damaged or cut off"):
        find_model(model)


def test_missing_variables_are_found(model: Path) -> None:
    shutil.rmtree(model / "variables")
    with pytest.raises(ModelError, match=r"variables\.index is missing, and the model has 1 variables"):
        find_model(model)


def test_a_model_without_variables_needs_no_files_for_them(tmp_path: Path) -> None:
    module = tf.Module()
    module.f = tf.function(lambda x: x + 1, input_signature=[tf.TensorSpec([None], tf.float32)])
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=module.f)
    shutil.rmtree(tmp_path / "m" / "variables")
    assert find_model(tmp_path / "m").name == "m"


def test_a_missing_vocabulary_is_found(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a\nb\n")
    module = tf.Module()
    module.table = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            str(tmp_path / "words.txt"),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        1,
    )
    module.f = tf.function(module.table.lookup, input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=module.f)
    assert find_model(tmp_path / "m").name == "m"
    (tmp_path / "m" / "assets" / "words.txt").unlink()
    with pytest.raises(ModelError, match=r"assets/words\.txt is missing"):
        find_model(tmp_path / "m")


def test_a_worker_refuses_a_cut_shard_in_one_line(model: Path) -> None:
    (model / SHARD).write_bytes(b"")
    command = [*COMMAND, "--registry", "static:", "--model", str(model)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"tfleet worker: {model}: {SHARD} is cut off")
