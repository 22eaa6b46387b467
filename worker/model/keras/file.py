"""Read what a .keras or .h5 file says of its model. No Keras, no TensorFlow.

A .keras file is a ZIP archive with the configuration as JSON; this process reads it, within limits. The
configuration of an HDF5 file is behind a large C library, which a damaged file can crash or keep busy. So a
child process reads it (`hdf5_main.py`), with limits on its time and memory.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from tfleet.runtime.parent_death import dying_with_parent
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.formats import ModelFormat, file_format
from tfleet.worker.model.keras.code import CodePart, find_code
from tfleet.worker.model.keras.config import BadConfigError, KerasInterface, read_interface
from tfleet.worker.model.keras.legacy import is_legacy, modernized, replaced_activations
from tfleet.worker.model.signature import TensorInfo

_KERAS: Final = frozenset({ModelFormat.KERAS, ModelFormat.HDF5})
MAX_CONFIG_BYTES: Final = 64 << 20
"""The largest configuration that is read. That of a network with a thousand layers has one or two MB."""

_CONFIG: Final = "config.json"
_METADATA: Final = "metadata.json"
_MAX_MEMBERS: Final = 10_000
# Weights hardly compress, and Keras does not compress them. Below the floor a bomb does no harm.
_MAX_EXPANSION: Final = 100
_EXPANSION_FLOOR_BYTES: Final = 64 << 20
_HDF5_TIMEOUT_S: Final = 30.0
_HDF5_COMMAND: Final = (sys.executable, "-P", "-m", "tfleet.worker.model.keras.hdf5_main")
_BAD_ARCHIVE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    KeyError,
    OverflowError,
)


@dataclass(frozen=True, slots=True)
class KerasFile:
    """A Keras model in a file. `form` is "keras" or "h5"; `version` is the Keras that wrote it, or "".

    `code` lists what of the model is Python code. `config` is the whole configuration; `rewritten` says that
    it is no longer the file's own, since Keras 3 would not read that, see `legacy.py`. `old_hard_sigmoid`
    says that the model uses what Keras 2 computed under this name.
    """

    path: Path
    form: str
    version: str
    interface: KerasInterface
    code: tuple[CodePart, ...]
    config: Mapping[str, Any] = field(repr=False)
    rewritten: bool = False
    old_hard_sigmoid: bool = False

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """The inputs in Keras' order. `tensor` is empty: the names in the graph come with the conversion."""
        return self.interface.inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """The outputs in Keras' order; shapes are None, and a dtype is "" where it depends on the layer."""
        return self.interface.outputs


def is_keras_file(path: Path) -> bool:
    """Whether Keras wrote this file, by its first bytes. Raises `ModelError` for formats that are refused."""
    return path.is_file() and file_format(path) in _KERAS


def read_keras_file(path: Path) -> KerasFile:
    """Read a file's configuration. Raises `ModelError`, also for a file with weights only."""
    kind = file_format(path)
    if kind not in _KERAS:
        raise ModelError(f"{path}: is not a Keras file (.keras or .h5)")
    hdf5 = kind is ModelFormat.HDF5
    attributes = _read_hdf5(path) if hdf5 else _read_archive(path)
    return _described(path, "h5" if hdf5 else "keras", attributes)


def check_code(file: KerasFile, *, trust: bool) -> None:
    """Raise `ModelError` for a model with code in it, unless it is trusted and can be had.

    With `trust` the code of Lambdas comes from the file, and classes are imported from where the file says.
    """
    for part in file.code:
        if part.in_file and not trust:
            raise ModelError(
                f"{file.path}: the Lambda layer {part.layer!r} is Python code inside the file: give "
                "--trust to run it, or save the model with one of Keras' own layers instead"
            )
        if part.reads and not trust:
            raise ModelError(
                f"{file.path}: the layer {part.layer!r} ({part.class_name}) reads {part.reads!r}, which is "
                "not in the file: give --trust to let it, or save the model with what it needs"
            )
        if not part.in_file and not part.reads and not (trust and part.module):
            raise ModelError(f"{file.path}: {_missing_class(file, part, trust=trust)}")


def _missing_class(file: KerasFile, part: CodePart, *, trust: bool) -> str:
    keras = f"Keras {keras_version()}"
    # Operations, too, which Keras 3 writes into such a file and does not read.
    if file.form == "h5" and part.module is None:
        return (
            f"the layer {part.layer!r} is of the class {part.class_name}, which {keras} cannot read from an "
            "HDF5 file: where the model was made, save it as .keras, or call model.export(FOLDER) and serve "
            "the folder"
        )
    hint = f" (--trust would import {part.module})" if part.module and not trust else ""
    which = f"has {part.class_name} in it" if part.inside else f"is of the class {part.class_name}"
    it = "that" if part.inside else "that class"
    return (
        f"the layer {part.layer!r} {which}, which {keras} does not have as a part of models: call "
        f"model.export(FOLDER) where {it} is defined, and serve the folder{hint}"
    )


def keras_version() -> str:
    """The version of the installed Keras, without importing it; "" if there is none."""
    try:
        return importlib.metadata.version("keras")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _described(path: Path, form: str, attributes: Mapping[str, str]) -> KerasFile:
    version = attributes.get("keras_version", "")
    try:
        config = json.loads(attributes["model_config"])
        if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
            raise BadConfigError("it is not that of a model")
        old = is_legacy(version)
        if old:
            config = modernized(config, attributes.get("backend", ""))
        code = find_code(config, _keras_layers())
        interface = _interface(config, code)
    except (ValueError, RecursionError, TypeError, LookupError, AttributeError) as error:
        why = str(error) if isinstance(error, BadConfigError) else "it is damaged"
        raise ModelError(f"{path}: the model's configuration can't be used: {why}") from error
    hard_sigmoid = old and replaced_activations(config)
    return KerasFile(path, form, version, interface, code, config, old, hard_sigmoid)


def _interface(config: Mapping[str, Any], code: tuple[CodePart, ...]) -> KerasInterface:
    """The inputs and outputs; none for a class that only its own code knows."""
    try:
        return read_interface(config)
    except BadConfigError:
        if code:
            return KerasInterface((), ())
        raise


def _read_archive(path: Path) -> dict[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(path, members)
            config = _text(path, archive, _CONFIG)
            has_metadata = any(member.filename == _METADATA for member in members)
            metadata = json.loads(_text(path, archive, _METADATA)) if has_metadata else {}
    except (*_BAD_ARCHIVE, ValueError, RecursionError) as error:
        why = str(error) or type(error).__name__
        raise ModelError(f"{path}: the .keras file is damaged: {why}"[:300]) from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    return {"model_config": config, "keras_version": str(version or "")}


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Raise `ModelError` for what would take far more room unpacked than the file has."""
    if len(members) > _MAX_MEMBERS:
        raise ModelError(f"{path}: has {len(members)} members; a .keras file has at most {_MAX_MEMBERS}")
    for member in members:
        limit = max(_EXPANSION_FLOOR_BYTES, _MAX_EXPANSION * member.compress_size)
        if member.file_size > (MAX_CONFIG_BYTES if member.filename == _CONFIG else limit):
            raise ModelError(
                f"{path}: {member.filename!r} in it would take {member.file_size} bytes unpacked, which no "
                "Keras model does"
            )


def _text(path: Path, archive: zipfile.ZipFile, name: str) -> str:
    with archive.open(name) as member:
        data = member.read(MAX_CONFIG_BYTES + 1)  # the size in the archive's directory may be a lie
    if len(data) > MAX_CONFIG_BYTES:
        raise ModelError(f"{path}: {name!r} in it is larger than {MAX_CONFIG_BYTES} bytes")
    return data.decode()


def _read_hdf5(path: Path) -> dict[str, str]:
    argv = dying_with_parent((*_HDF5_COMMAND, str(path.absolute())))
    try:
        child = subprocess.run(argv, capture_output=True, check=False, timeout=_HDF5_TIMEOUT_S)  # noqa: S603 - our own program
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{path}: reading the HDF5 file took more than {_HDF5_TIMEOUT_S:g} s") from error
    try:
        answer = json.loads(child.stdout)
    except ValueError as error:
        last = child.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        why = last or f"the HDF5 library ended with {child.returncode}"
        raise ModelError(f"{path}: the HDF5 file can't be read: {why}"[:400]) from error
    if "error" in answer:
        raise ModelError(f"{path}: {answer['error']}")
    return {str(key): str(value) for key, value in answer.items()}


@cache
def _keras_layers() -> frozenset[str]:
    """The names of the layers that the installed Keras has, read from its source; empty if unknown."""
    spec = importlib.util.find_spec("keras")  # finds the package without importing it
    if spec is None or spec.origin is None:
        return frozenset()
    try:
        text = (Path(spec.origin).parent / "layers" / "__init__.py").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    return frozenset(re.findall(r" as (\w+)", text))
