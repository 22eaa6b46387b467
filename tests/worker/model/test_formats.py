"""What a model's file is by its first bytes, and the refusals of a worker that was given something else."""

import gzip
import io
import json
import os
import pickle
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.environment import users_environment
from tests.support.worker_process import COMMAND
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.find import DEFAULT_MODEL
from tfleet.worker.model.formats import ModelFormat, file_format

# Field 1 (nodes) with name "x" and operation "Placeholder"; field 4 (versions).
NODE = b"\x0a\x10\x0a\x01x\x12\x0bPlaceholder"
GRAPH = NODE + b"\x22\x00"
# Field 1 = schema version 1; field 2 = a meta graph with its description.
SAVED_MODEL = b"\x08\x01\x12\x02\x0a\x00"
TFLITE = b"\x1c\x00\x00\x00TFL3" + bytes(30)
HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(100)


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"{}")
    return file.getvalue()


def tarred(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (GRAPH, ModelFormat.FROZEN_GRAPH),
        (NODE, ModelFormat.FROZEN_GRAPH),
        (SAVED_MODEL, ModelFormat.SAVED_MODEL),
        (zipped("metadata.json", "config.json", "model.weights.h5"), ModelFormat.KERAS),
        (HDF5, ModelFormat.HDF5),
        (bytes(512) + HDF5, ModelFormat.HDF5),
    ],
)
def test_a_served_format_is_known_by_its_bytes(tmp_path: Path, content: bytes, expected: ModelFormat) -> None:
    (tmp_path / "model.xyz").write_bytes(content)
    assert file_format(tmp_path / "model.xyz") is expected


def test_the_default_model_is_a_frozen_graph() -> None:
    assert file_format(DEFAULT_MODEL / "1" / "graph.pb") is ModelFormat.FROZEN_GRAPH


@pytest.mark.parametrize("size", range(1, len(GRAPH) - 2))
def test_a_graph_that_is_cut_off_is_refused(tmp_path: Path, size: int) -> None:
    (tmp_path / "model.pb").write_bytes(GRAPH[:size])
    with pytest.raises(ModelError, match=r"is cut off|or is damaged"):
        file_format(tmp_path / "model.pb")


@pytest.mark.process
def test_random_bytes_are_always_told_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "model"
    for length in range(1, 600):
        file.write_bytes(os.urandom(length))
        try:
            file_format(file)
        except ModelError as error:
            assert "\n" not in str(error)  # noqa: PT017 - most of them are refused, some pass


def test_a_folder_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read: "):
        file_format(tmp_path)


def keras_file(**layer: object) -> bytes:
    """A .keras file of an input and one layer."""
    given = {
        "class_name": "InputLayer",
        "config": {"name": "x", "batch_shape": [None, 4], "dtype": "float32"},
    }
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [given, layer]}}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
        archive.writestr("config.json", json.dumps(config))
    return file.getvalue()


ONNX = b"\x08\x08\x12\x07pytorch\x3a\x02\x0a\x00\x42\x02\x10\x11"
REFUSED = {
    "empty.pb": (b"", "is empty (0 bytes)"),
    "noise.pb": (b"\xff" * 100, "is not a model that tfleet knows"),
    "cut.pb": (GRAPH + NODE[:10], "is cut off: at least 8 bytes are missing"),
    "model.tflite": (TFLITE, "is a TensorFlow Lite model"),
    "model.onnx": (ONNX, "is an ONNX model"),
    "model.mlmodel": (b"\x08\x01\x12\x00\xa2\x1f\x00", "is a Core ML model"),
    "model.pt": (zipped("archive/data.pkl", "archive/data/0"), "is a PyTorch file"),
    "script.pt": (zipped("net/code/__torch__.py", "net/constants.pkl"), "is a PyTorch file"),
    "model.pkl": (pickle.dumps([1, 2]), "is a Python pickle"),
    "model.safetensors": (
        (16).to_bytes(8, "little") + b'{"a":{"dtype":1}' + bytes(8),
        "is a safetensors file: weights",
    ),
    "weights.npz": (zipped("a.npy", "b.npy"), "is an archive of NumPy arrays (.npz): weights"),
    "weights.npy": (b"\x93NUMPY\x01\x00", "is a NumPy array: weights"),
    "weights.keras": (zipped("model.weights.h5"), "has no config.json: weights"),
    "other.zip": (zipped("readme"), "is a zip file, but not of Keras"),
    "cut.keras": (zipped("config.json")[:40], "is a damaged or cut off zip file"),
    "lambda.keras": (
        keras_file(module="keras.layers", class_name="Lambda", config={"name": "double"}),
        "the Lambda layer 'double' is Python code inside the file: give --trust",
    ),
    "custom.keras": (
        keras_file(module="mine", class_name="Twice", registered_name="mine>Twice", config={"name": "twice"}),
        "the layer 'twice' is of the class mine>Twice, which Keras",
    ),
    "model.tar.gz": (gzip.compress(b"x"), "is a compressed archive: unpack it"),
    "model.tar": (tarred("model.h5", HDF5), "is a compressed archive: unpack it"),
    "lfs.pb": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "run `git lfs pull`"),
    "page.pb": (b"\n<!DOCTYPE html>\n<html>", "is a web page"),
    "cat.pb": (b"\xff\xd8\xff\xe0" + bytes(20), "is a JPEG image"),
    "graph.pbtxt": (b'node {\n  name: "x"\n}\n', "is a graph in text form"),
    "js.json": (b'{"format": "graph-model", "modelTopology": {}}', "is a TensorFlow.js model"),
    "keras.json": (b'{"class_name": "Sequential", "config": {}}', "is a Keras architecture without weights"),
    "checkpoint": (b'model_checkpoint_path: "model.ckpt-1"\n', "names a TensorFlow checkpoint"),
    "model.ckpt.index": (
        bytes(60) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb",
        "is the index of a TensorFlow checkpoint",
    ),
    "model.ckpt.meta": (
        b"\x0a\x02\x2a\x00\x12\x00\x1a\x00\x2a\x00",
        "is the graph of a TensorFlow 1 checkpoint",
    ),
    "saved_model.pb": (SAVED_MODEL, "is part of a SavedModel; give its folder"),
    "nowhere": (None, "there is no such file or folder"),
}


def folder_of(*files: tuple[str, bytes]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        for name, content in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return folder

    return write


REFUSED_FOLDERS = {
    "empty": (folder_of(), "has neither a model"),
    "chunks": (folder_of(("saved_model.cpb", b"x")), "is a SavedModel in chunks"),
    "checkpoint": (
        folder_of(
            ("checkpoint", b"model_checkpoint_path"),
            ("m.ckpt.index", bytes(60) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"),
            ("m.ckpt.data-00000-of-00001", b"0"),
        ),
        "is the index of a TensorFlow checkpoint",
    ),
    "tfjs": (
        folder_of(("model.json", b'{"format": "layers-model"'), ("w1.bin", b"0")),
        "is a TensorFlow.js model",
    ),
    "torch": (folder_of(("pytorch_model.bin", REFUSED["model.pt"][0] or b"")), "is a PyTorch file"),
    "two": (
        folder_of(("a.pb", GRAPH), ("b.h5", HDF5), ("c.tflite", TFLITE)),
        "has several models: name one of a.pb, b.h5",
    ),
    "one and others": (
        folder_of(("a.hdf5", HDF5), ("a.tflite", TFLITE)),
        "has several files that may be models: name the one to serve, ",
    ),
    "a SavedModel and others": (
        folder_of(("nmp/saved_model.pb", SAVED_MODEL), ("nmp.onnx", b"x"), ("nmp.tflite", TFLITE)),
        "has several files that may be models: name the one to serve, ",
    ),
    "none of two": (
        folder_of(("a.tflite", TFLITE), ("b.tflite", TFLITE)),
        "none of a.tflite, b.tflite can be served: ",
    ),
    "both": (
        folder_of(("1/graph.pb", GRAPH), ("a.keras", b"x")),
        "has version folders, and a.keras beside them",
    ),
}


def _refusal(model: Path) -> str:
    """What a worker says to this model. It ends before it can have imported TensorFlow, which takes
    seconds.
    """
    command = [*COMMAND, "--registry", "static:", "--model", str(model)]
    env = users_environment()
    worker = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=env)
    assert worker.stderr is not None
    with worker.stderr as stderr:
        said = stderr.read()
    _, status, used = os.wait4(worker.pid, 0)
    worker.returncode = os.waitstatus_to_exitcode(status)
    assert worker.returncode == 2, said
    # A half on an idle CPU; its time counts double while the other thread of its core works.
    assert used.ru_utime + used.ru_stime < 1.5, "CPU seconds"
    (line,) = said.splitlines()
    assert line.startswith(f"tfleet worker: {model}"), line
    return line


@pytest.mark.process
@pytest.mark.parametrize("name", REFUSED)
def test_a_worker_refuses_a_file_in_one_line_at_once(tmp_path: Path, name: str) -> None:
    content, said = REFUSED[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert said in _refusal(tmp_path / name)


@pytest.mark.process
@pytest.mark.parametrize("name", REFUSED_FOLDERS)
def test_a_worker_refuses_a_folder_in_one_line_at_once(tmp_path: Path, name: str) -> None:
    write, said = REFUSED_FOLDERS[name]
    assert said in _refusal(write(tmp_path))
