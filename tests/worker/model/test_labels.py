"""One label a line."""

from pathlib import Path

import pytest

from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.manifest import read_labels


@pytest.mark.parametrize("text", ["cat\ndog", "cat\ndog\n", "cat\r\ndog\r\n", "\ufeffcat\n dog \n\n\n"])
def test_labels_are_read_in_their_order(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(text.encode())
    assert read_labels(path) == ("cat", "dog")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"cat\n\ndog\n", "line 2 is empty"),
        ("chät\n".encode("latin-1"), r"not UTF-8 \(byte 2\)"),
    ],
)
def test_a_faulty_file_is_reported_with_its_fault(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"labels\.txt: .*{problem}"):
        read_labels(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"labels\.txt: there is no such file"):
        read_labels(tmp_path / "labels.txt")


def test_a_folder_is_not_a_file_of_labels(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read: Is a directory"):
        read_labels(tmp_path)
