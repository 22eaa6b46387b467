"""Digests: of a model with all that changes its answers, and of the run that a part belongs to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tfleet.worker.model.spec import ModelSpec

_COMPILED: Final = "__pycache__"  # which the first run leaves beside the model's function


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def model_digest(spec: ModelSpec) -> str:
    """The SHA-256 of the model's files and of its description. Where the files lie changes nothing."""
    whole = hashlib.sha256()
    for name, path in _files(spec):
        whole.update(f"{name}\0{file_digest(path)}\0".encode())
    serving = replace(spec.serving, converted_from=None)
    whole.update(repr((spec.labels, spec.input, spec.output, serving)).encode())
    return whole.hexdigest()


def document_digest(document: Mapping[str, Any]) -> str:
    """The SHA-256 of a JSON document, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _files(spec: ModelSpec) -> Iterable[tuple[str, Path]]:
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
