"""A file that was saved becomes a version, or nothing does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfleet.training.distributed.errors import TrainingFailedError
from tfleet.training.distributed.export import export


def test_a_file_that_is_no_model_makes_no_version(tmp_path: Path) -> None:
    saved = tmp_path / "model.keras"
    saved.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(TrainingFailedError, match="the model is trained, and cannot be exported: "):
        export(saved, tmp_path / "models" / "flowers", lambda stage: None)
    assert list((tmp_path / "models" / "flowers").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "models").touch()
    with pytest.raises(TrainingFailedError, match=r"cannot be written to .*models/flowers: "):
        export(tmp_path / "model.keras", tmp_path / "models" / "flowers", lambda stage: None)
