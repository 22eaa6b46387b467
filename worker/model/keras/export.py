"""Load a Keras model, write it as a SavedModel, and compare the two. Imports Keras: for the child process.

Keras' own `export` renames what the model has: outputs become `output_0`. This keeps the model's names and
types, and leaves dimensions of any size as they are.
"""

from __future__ import annotations

import importlib
import re
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import h5py
import keras
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.saved_model.experimental import TrackableResource

from tfleet.worker.model.keras.examples import close, examples
from tfleet.worker.model.keras.hdf5_links import check_links
from tfleet.worker.model.keras.job import ConvertJob
from tfleet.worker.model.signature import DEFAULT_SIGNATURE

# Names that a signature's inputs can have in TensorFlow; others are put in afterwards.
_PLAIN_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ACTIVATIONS: Final = ("activation", "recurrent_activation")
_HALF: Final = frozenset({"float16", "bfloat16"})


class ConversionError(Exception):
    """The model cannot become a SavedModel. The message says why, in one line."""


def load(job: ConvertJob) -> Any:
    """The model, not compiled: what concerns training only is left out."""
    trust = job.classes is not None
    _check_weights(Path(job.source))
    if trust:
        keras.config.enable_unsafe_deserialization()
    classes = {name: _class(module, name) for module, name in job.classes or ()}
    model = keras.saving.load_model(
        _prepared(job), custom_objects=classes, compile=False, safe_mode=not trust
    )
    if not isinstance(model, keras.Sequential | keras.Model) or getattr(model, "outputs", None) is None:
        raise ConversionError(
            f"it is a subclass of keras.Model ({type(model).__name__}), which does not say what its inputs "
            "are: call model.export(FOLDER) in Python, and serve the folder"
        )
    if job.old_hard_sigmoid:
        _restore_hard_sigmoid(model)
    _drop_masks(model)
    return model


def _check_weights(source: Path) -> None:
    """Raise OutsideDataError if the weights of a .keras archive are in other files."""
    if source.suffix == ".keras":  # that of an HDF5 file was looked at when its configuration was read
        with zipfile.ZipFile(source) as archive:
            for name in archive.namelist():
                if name.endswith(".h5"):
                    # What can't be opened is left to Keras, which says so.
                    with suppress(OSError), archive.open(name) as member, h5py.File(member, "r") as weights:
                        check_links(weights)


def _drop_masks(model: Any) -> None:
    """Recurrent layers draw dropout's masks even where nothing is dropped. That writes into a variable, and
    the SavedModel would look as if it kept state.
    """
    for layer in model._flatten_layers():
        if hasattr(layer, "get_dropout_mask"):
            layer.dropout = layer.recurrent_dropout = 0.0


def save(model: Any, job: ConvertJob) -> None:
    """Write the SavedModel, with one signature."""
    structure = _structure(model)
    inputs, outputs = keras.tree.flatten(structure), len(model.outputs)
    if (len(inputs), outputs) != (len(job.inputs), len(job.outputs)):
        raise ConversionError(
            f"it has {len(inputs)} inputs and {outputs} outputs; its configuration names {len(job.inputs)} "
            f"and {len(job.outputs)}"
        )
    sparse = [name for name, each in zip(job.inputs, inputs, strict=True) if each.sparse]
    if sparse:
        raise ConversionError(f"its input {sparse[0]!r} is sparse, which a request cannot be")
    plain = [name if _PLAIN_NAME.fullmatch(name) and name != "self" else None for name in job.inputs]
    unused = (f"input_{number}" for number in range(2 * len(plain) + 1) if f"input_{number}" not in plain)
    names = [name or next(unused) for name in plain]

    def serve(*tensors: Any) -> dict[str, Any]:
        answer = model(keras.tree.pack_sequence_as(structure, list(tensors)), training=False)
        outputs = dict(zip(job.outputs, keras.tree.flatten(answer), strict=True))
        for name, output in outputs.items():
            if not isinstance(output, tf.Tensor):
                raise ConversionError(
                    f"its output {name!r} is a {type(output).__name__}: call to_tensor() or to_dense() on it"
                )
        return outputs

    named = zip(inputs, names, strict=True)
    specs = [tf.TensorSpec(each.shape, each.dtype, name=name) for each, name in named]
    function = tf.function(serve, input_signature=specs, autograph=False).get_concrete_function()
    module = tf.Module()
    module.used_variables = list(function.graph.variables)
    parts = tf.train.TrackableView(model).descendants()
    module.tables = [part for part in parts if isinstance(part, TrackableResource)]
    tf.saved_model.save(module, str(job.target), signatures={DEFAULT_SIGNATURE: function})
    renamed = {old: new for old, new in zip(names, job.inputs, strict=True) if old != new}
    if renamed:
        _rename_inputs(job.target, renamed)


def compare(model: Any, job: ConvertJob) -> bool:
    """Whether an input could be made up that the model answers. Raises ConversionError for other answers.

    This comes after `save`: a model with a state changes it with every answer.
    """
    structure = _structure(model)
    inputs = keras.tree.flatten(structure)
    shapes = [(tuple(each.shape), tf.as_dtype(each.dtype)) for each in inputs]
    half = any(getattr(layer, "compute_dtype", None) in _HALF for layer in model._flatten_layers())
    for values in examples([(shape, dtype.as_numpy_dtype) for shape, dtype in shapes]):
        tensors = [tf.constant(value, dtype) for value, (_, dtype) in zip(values, shapes, strict=True)]
        try:
            answer = model(keras.tree.pack_sequence_as(structure, tensors), training=False)
        except (ValueError, TypeError, tf.errors.OpError):
            continue  # a size or a number that this model does not take
        expected = dict(zip(job.outputs, keras.tree.flatten(answer), strict=True))
        actual = _run_saved(job.target, dict(zip(job.inputs, values, strict=True)))
        for name, value in expected.items():
            if not close(value.numpy(), actual[name], half=half):
                raise ConversionError(f"the SavedModel's output {name!r} is not what Keras answers")
        return True
    return False


def _structure(model: Any) -> Any:
    """How the model takes its inputs: one, a list, a dict, or those in each other."""
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def _class(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name.rpartition(">")[2])
    except (ImportError, AttributeError) as error:
        raise ConversionError(f"the class {name} can't be imported: {error}; set PYTHONPATH") from error


def _prepared(job: ConvertJob) -> str:
    """The file under a name that says what it is, with the rewritten configuration if there is one."""
    if not job.rewritten:
        return job.source
    source = Path(job.source)
    path = job.scratch / f"model{source.suffix}"
    if source.suffix == ".h5":
        shutil.copyfile(source, path)
        with h5py.File(path, "r+") as file:
            del file.attrs["model_config"]
            file.attrs["model_config"] = job.config.read_bytes()
    else:
        _copy_archive(source, path, job.config)
    return str(path)


def _copy_archive(source: Path, target: Path, config: Path) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.infolist():
            if member.filename == "config.json":
                new.write(config, member.filename)
                continue
            with old.open(member) as reader, new.open(member.filename, "w", force_zip64=True) as writer:
                shutil.copyfileobj(reader, writer)


def _restore_hard_sigmoid(model: Any) -> None:
    """Give layers the hard sigmoid that Keras 2 had under this name."""

    def hard_sigmoid(x: Any) -> Any:
        return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)

    for layer in model._flatten_layers():
        for name in _ACTIVATIONS:
            if getattr(layer, name, None) is keras.activations.hard_sigmoid and not isinstance(
                getattr(type(layer), name, None), property
            ):
                setattr(layer, name, hard_sigmoid)


def _rename_inputs(folder: Path, names: dict[str, str]) -> None:
    """Give the signature's inputs names that TensorFlow's functions could not have."""
    path = folder / "saved_model.pb"
    saved = SavedModel.FromString(path.read_bytes())
    inputs = saved.meta_graphs[0].signature_def[DEFAULT_SIGNATURE].inputs
    infos = {new: type(inputs[old]).FromString(inputs[old].SerializeToString()) for old, new in names.items()}
    for old in names:
        del inputs[old]
    for new, info in infos.items():
        inputs[new].CopyFrom(info)
    path.write_bytes(saved.SerializeToString())
    (folder / "fingerprint.pb").unlink(missing_ok=True)  # it was that of the other file


def _run_saved(folder: Path, values: dict[str, Any]) -> dict[str, Any]:
    """What the SavedModel answers in a session, as a worker runs it."""
    tf.get_logger().setLevel("ERROR")
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
        signature = meta_graph.signature_def[DEFAULT_SIGNATURE]
        feeds = {signature.inputs[name].name: value for name, value in values.items()}
        fetches = {name: info.name for name, info in signature.outputs.items()}
        answer: dict[str, Any] = session.run(fetches, feeds)
        return answer
