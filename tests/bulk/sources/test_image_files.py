from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.sources.files import InputFile
from tfleet.bulk.sources.image_files import ImageFilesSource
from tfleet.bulk.sources.source import InputPlace, PieceLimits

LIMITS = PieceLimits(3, 10**6)


@pytest.fixture
def files(tmp_path: Path) -> list[InputFile]:
    for number in range(8):
        (tmp_path / f"{number}.jpg").write_bytes(b"x" * number)
    return [InputFile(str(tmp_path / f"{number}.jpg")) for number in range(8)]


def test_each_file_is_a_row_with_its_path(files: list[InputFile]) -> None:
    source = ImageFilesSource(files, 1, LIMITS)
    whole = list(source.pieces(InputPlace(1), ["path"]))
    assert [each.batch.num_rows for each in whole] == [3, 3, 2]
    assert [path for each in whole for path in each.batch["path"].to_pylist()] == [
        each.name for each in files
    ]
    assert list(source.pieces(whole[0].end, ["path"])) == whole[1:]
    assert source.rows == 8


def test_a_changed_image_changes_the_digest(files: list[InputFile]) -> None:
    source = ImageFilesSource(files, 0, LIMITS)
    before = source.digest()
    assert (before.bytes, before) == (28, source.digest())
    os.utime(files[3].name, (1, 1))
    assert source.digest() != before


def test_a_missing_image_is_refused(files: list[InputFile]) -> None:
    Path(files[3].name).unlink()
    with pytest.raises(CannotScoreError, match=r"3.jpg: cannot be read: No such file or directory"):
        ImageFilesSource(files, 0, LIMITS).digest()
