from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tfleet.bulk.errors import InputChangedError
from tfleet.bulk.sources.files import InputFile
from tfleet.bulk.sources.source import InputPlace
from tfleet.bulk.unchanged import UnchangedInputs


def append(path: Path) -> None:
    with path.open("a") as file:
        file.write("3\n")


def rewrite(path: Path) -> None:
    path.write_text("x\n9\n")
    os.utime(path, ns=(0, time.time_ns() + 10**9))


def replace(path: Path) -> None:
    """By another file of the same size and time."""
    facts = path.stat()
    other = path.with_suffix(".new")
    other.write_text("x\n9\n")
    os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    other.rename(path)


@pytest.mark.parametrize("change", [append, rewrite, replace, Path.unlink])
@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_file_that_changes_is_noticed(change: Callable[[Path], None], prefix: str, tmp_path: Path) -> None:
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for path in paths:
        path.write_text("x\n1\n")
    inputs = UnchangedInputs([("csv", [InputFile(f"{prefix}{path}")]) for path in paths])
    inputs.check(InputPlace(), InputPlace(1, 1))
    change(paths[1])
    inputs.check(InputPlace(), InputPlace(0, 1))
    with pytest.raises(InputChangedError, match=r"b.csv: has changed since the run began$"):
        inputs.check(InputPlace(0, 1), InputPlace(1, 1))


def test_of_images_those_of_the_part_are_looked_at(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths:
        path.write_bytes(b"image")
    inputs = UnchangedInputs([("image", [InputFile(str(path)) for path in paths])])
    append(paths[2])
    inputs.check(InputPlace(0, 0), InputPlace(0, 2))
    inputs.check(InputPlace(0, 3), InputPlace(0, 4))
    with pytest.raises(InputChangedError, match=r"2\.png"):
        inputs.check(InputPlace(0, 2), InputPlace(0, 3))
