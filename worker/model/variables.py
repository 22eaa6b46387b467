"""Checks that the files are whole that a SavedModel's variables and vocabularies are in. No TensorFlow.

`variables/variables.index` maps each variable's name to the file, the offset and the size of its values
(tensorflow/core/protobuf/tensor_bundle.proto), and the empty name to the number of files. TensorFlow reads
values where the index says; of a file that is too short it may notice nothing until a request needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # comes with TensorFlow, no types

from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.formats import is_lfs_pointer
from tfleet.worker.model.saved_model_proto import new_message
from tfleet.worker.model.table_file import DamagedTableError, read_entries

if TYPE_CHECKING:
    from pathlib import Path

    from tfleet.worker.model.saved_model_proto import MetaGraph

_FOLDER: Final = "variables"
_MAX_INDEX_BYTES: Final = 1 << 28
_VARIABLES: Final = frozenset(("VarHandleOp", "VariableV2", "Variable"))


def check_files(folder: Path, meta_graph: MetaGraph) -> None:
    """Raise `ModelError` if a file is missing or too short that the SavedModel's graph needs."""
    for name in meta_graph.assets:
        if not (folder / "assets" / name).is_file():
            raise ModelError(
                f"{folder}: assets/{name} is missing, which the model reads: copy the whole folder"
            )
    index = folder / _FOLDER / "variables.index"
    if not index.is_file():
        count = sum(node.op in _VARIABLES for node in meta_graph.definition.graph_def.node)
        if count:
            raise ModelError(
                f"{folder}: variables/variables.index is missing, and the model has {count} variables: "
                "copy the whole folder"
            )
        return
    shards, needed = _read_index(index)
    for shard in range(shards):
        _check_shard(folder, f"variables.data-{shard:05d}-of-{shards:05d}", needed.get(shard, 0))


def _check_shard(folder: Path, name: str, needed: int) -> None:
    file = folder / _FOLDER / name
    if not file.is_file():
        raise ModelError(f"{folder}: variables/{name} is missing, which has weights: copy the whole folder")
    size = file.stat().st_size
    if size >= needed:
        return
    if is_lfs_pointer(file):
        raise ModelError(
            f"{folder}: variables/{name} is a Git LFS pointer, not the weights: run `git lfs pull`"
        )
    raise ModelError(
        f"{folder}: variables/{name} is cut off: it has {size} of at least {needed} bytes; copy it again"
    )


def _read_index(index: Path) -> tuple[int, dict[int, int]]:
    """The number of files with values, and the bytes that each has at least."""
    try:
        if index.stat().st_size > _MAX_INDEX_BYTES:
            raise ModelError(f"{index}: is larger than {_MAX_INDEX_BYTES} bytes, too large for an index")
        data = index.read_bytes()
    except OSError as error:
        raise ModelError(f"{index}: cannot be read: {error.strerror}") from error
    header, needed = new_message("BundleHeaderProto"), dict[int, int]()
    try:
        for key, value in read_entries(data):
            if not key:
                header.ParseFromString(value)
                continue
            entry: Any = new_message("BundleEntryProto")
            entry.ParseFromString(value)
            needed[entry.shard_id] = max(needed.get(entry.shard_id, 0), entry.offset + entry.size)
    except (DamagedTableError, DecodeError) as error:
        raise ModelError(f"{index}: is damaged or cut off: copy it again") from error
    return max(header.num_shards, 0), needed
