"""The images that two precisions are compared on: the model's own, else four photographs of this package.

A model's own are the pictures in `samples/` beside its labels, or beside its graph where that stands alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from tfleet.worker.image.sniff import READ, sniff
from tfleet.worker.model.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tfleet.worker.model.spec import ModelSpec

FOLDER: Final = "samples"
# Each costs a run in either precision, at every start.
MOST: Final = 16
BUILT_IN: Final = Path(__file__).parent / FOLDER


class SampleError(ModelError):
    """A sample image cannot be used. The message is one line that names it."""


def sample_images(spec: ModelSpec) -> Mapping[str, bytes]:
    """The first 16 pictures by their names. Raises `SampleError` where one cannot be read."""
    return _pictures(_home(spec) / FOLDER) or _pictures(BUILT_IN)


def _home(spec: ModelSpec) -> Path:
    if spec.described_by is not None:
        return spec.described_by.parent
    return spec.path if spec.path.is_dir() else spec.path.parent


def _pictures(folder: Path) -> dict[str, bytes]:
    pictures: dict[str, bytes] = {}
    for path in sorted(folder.glob("[!.]*")):
        if len(pictures) == MOST:
            break
        if path.is_file() and sniff(content := _read(path)) in READ:
            pictures[path.name] = content
    return pictures


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SampleError(f"{path}: cannot be read: {error.strerror}") from error
