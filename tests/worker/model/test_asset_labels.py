"""Labels in a SavedModel's assets are used where they are the only ones and as many as its classes."""

from pathlib import Path

import pytest

from tfleet.worker.model.asset_labels import asset_labels


@pytest.mark.parametrize(
    ("files", "labels"),
    [
        ({"labels.txt": "cat\ndog"}, ("cat", "dog")),
        ({"ImageNetLabels.txt": "cat\ndog\n"}, ("cat", "dog")),
        ({"class_names.txt": "cat\ndog", "vocabulary.txt": "a\nb"}, ("cat", "dog")),
        ({"labels.txt": "cat\ndog\ncow"}, ()),
        ({"labels.txt": "cat\n\ndog"}, ()),
        ({"labels.txt": "cat\ndog", "classes.txt": "a\nb"}, ()),
        ({}, ()),
    ],
)
def test_the_only_fitting_file_counts(tmp_path: Path, files: dict[str, str], labels: tuple[str, ...]) -> None:
    (tmp_path / "assets").mkdir()
    for name, text in files.items():
        (tmp_path / "assets" / name).write_text(text)
    assert asset_labels(tmp_path, 2) == labels
