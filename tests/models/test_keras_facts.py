"""What `tfleet model show` says of a seeded Keras file is what it says of the SavedModel made of it."""

from pathlib import Path

import pytest

from tests.worker.model.keras.test_facts import told_as_after_conversion


@pytest.mark.process
@pytest.mark.timeout(600)
def test_seeded_files_are_told_as_after_conversion(
    golden_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert told_as_after_conversion(golden_models) > 10
