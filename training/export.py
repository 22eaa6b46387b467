"""Write a version of a model: a folder that tfleet serves, and the two files of TensorFlow's retrain.py.

models/NAME/N/graph.pb            the whole model, frozen
              labels.txt          its classes, one a line
              model.toml          how images are prepared for it
              output_graph.pb     graph.pb and labels.txt again, as they were called there
              output_labels.txt
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tfleet.worker.model.find import GRAPH, LABELS, MANIFEST
from tfleet.worker.model.spec import InputSpec

if TYPE_CHECKING:
    from tfleet.training.head_graph import HeadGraph

UNKNOWN: Final = "unknown"
"""The label of the answer where no class is likely enough."""
_SEED_NAMES: Final = {GRAPH: "output_graph.pb", LABELS: "output_labels.txt"}


def write_model(folder: Path, graph: HeadGraph, labels: Sequence[str], image: InputSpec) -> None:
    """Write the files of a model into a folder that is there. Raises OSError.

    `image` is how images were prepared for the vectors.
    """
    _write(folder / GRAPH, graph.definition.SerializeToString(deterministic=True))
    _write(folder / LABELS, "".join(f"{label}\n" for label in labels).encode())
    _write(folder / MANIFEST, "".join(f"{line}\n" for line in _manifest(graph, image)).encode())
    for name, other in _SEED_NAMES.items():
        try:
            (folder / other).hardlink_to(folder / name)
        except OSError:  # some file systems have no links
            shutil.copyfile(folder / name, folder / other)


def _manifest(graph: HeadGraph, image: InputSpec) -> Iterator[str]:
    yield "# Made by tfleet retrain. The images are prepared as they were for training."
    yield "[input]"
    yield f"tensor = {_toml(graph.image)}"
    for each in fields(InputSpec):
        value = getattr(image, each.name)
        if each.name != "tensor" and value != each.default:
            yield f"{each.name} = {_toml(value)}"
    yield ""
    yield "[output]"
    yield f"tensor = {_toml(graph.output)}"
    yield f"embedding = {_toml(graph.embedding)}"


def _toml(value: Any) -> str:
    """The value in TOML, whose strings, numbers, truth values and lists are JSON's."""
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _write(path: Path, content: bytes) -> None:
    """Write a file, and wait until the disk has it: the folder is renamed as if it were whole."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
