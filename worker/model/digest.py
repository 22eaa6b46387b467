"""The files that a model consists of, and their digests. No TensorFlow."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from tfleet.worker.model.spec import ModelSpec

_COMPILED: Final = "__pycache__"  # which the first run leaves beside the model's function


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content, as 64 hexadecimal digits. Raises OSError."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def files_digest(files: Iterator[tuple[str, Path]]) -> hashlib._Hash:
    """The SHA-256 of the names and contents of files, to which more can be added. Raises OSError."""
    whole = hashlib.sha256()
    for name, path in files:
        whole.update(f"{name}\0{file_digest(path)}\0".encode())
    return whole


def model_files(spec: ModelSpec) -> Iterator[tuple[str, Path]]:
    """The files of a model that its answers depend on, with names that do not say where they lie."""
    origin = spec.origin
    if origin.is_dir():
        for path in sorted(each for each in origin.rglob("*") if each.is_file()):
            within = path.relative_to(origin)
            if _COMPILED not in within.parts:
                yield str(within), path
    else:
        yield "", origin
    if spec.output.function is not None:
        name = spec.output.function.partition(":")[0]
        yield f"function {name}", spec.folder / name
