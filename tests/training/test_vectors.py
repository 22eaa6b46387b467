"""The pass over the photographs: what is made, kept, and told."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tfleet.training.errors import RetrainFailedError
from tfleet.training.photos import find_photos
from tfleet.training.vector_cache import VectorCache
from tfleet.training.vectors import EmbeddedPhotos, PassProgress, embed_photos


class CountingEmbedder:
    """Makes the first four bytes of a file its vector, and counts what it is asked for."""

    key = "counting"
    dimensions = 4
    most_photos = 3

    def __init__(self, *, ends_at: int = 10**6, concurrency: int = 2) -> None:
        self.concurrency = concurrency
        self.asked: list[bytes] = []
        self._ends_at = ends_at
        self._lock = threading.Lock()

    def embed(self, photos: Sequence[bytes]) -> list[npt.NDArray[Any] | str]:
        with self._lock:
            self.asked.extend(photos)
            if len(self.asked) > self._ends_at:
                raise RetrainFailedError("enough")
        return [
            "these bytes are not an image" if each.startswith(b"text") else self._made(each)
            for each in photos
        ]

    def _made(self, content: bytes) -> npt.NDArray[np.float32]:
        return _vector(content)

    def close(self) -> None:
        """Nothing."""


def _vector(content: bytes) -> npt.NDArray[np.float32]:
    return np.frombuffer(content[:4], dtype=np.uint8).astype(np.float32)


def _photos(root: Path, count: int = 8) -> Path:
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        for number in range(count):
            (root / label / f"{number}.jpg").write_bytes(f"{label}{number:03}".encode())
    return root


def _pass(root: Path, embedder: CountingEmbedder, cache: Path) -> EmbeddedPhotos:
    with VectorCache(cache, embedder.key, embedder.dimensions) as vectors:
        return embed_photos(find_photos(root), embedder, vectors, lambda _: None)


def test_each_photograph_has_its_own_vector(tmp_path: Path) -> None:
    root, reports = _photos(tmp_path / "photos"), list[PassProgress]()
    (root / "a" / "notes.txt").write_text("text")
    embedder = CountingEmbedder()
    with VectorCache(tmp_path / "cache", "k", 4) as cache:
        found = embed_photos(find_photos(root), embedder, cache, reports.append)
    assert [each.file.name for each in found.photos] == [
        f"{label}/{n}.jpg" for label in "ab" for n in range(8)
    ]
    for each in found.photos:
        assert each.vector.tolist() == _vector((root / each.file.name).read_bytes()).tolist()
    assert [(each.path, each.reason) for each in found.passed_over] == [
        ("a/notes.txt", "these bytes are not an image")
    ]
    assert reports[-1] == PassProgress(17, 17, 16)


def test_a_second_run_makes_only_the_new_ones(tmp_path: Path) -> None:
    root = _photos(tmp_path / "photos")
    _pass(root, CountingEmbedder(), tmp_path / "cache")
    moved = root.rename(tmp_path / "moved")
    (moved / "b" / "new.jpg").write_bytes(b"new!")
    (moved / "a" / "0.jpg").rename(moved / "b" / "renamed")
    second = CountingEmbedder()
    found = _pass(moved, second, tmp_path / "cache")
    assert second.asked == [b"new!"]
    assert (len(found.photos), found.made) == (17, 1)


def test_a_replaced_photograph_has_no_old_vector(tmp_path: Path) -> None:
    """retrain.py kept vectors under the file's name, and went on with that of the photograph before."""
    root = _photos(tmp_path / "photos")
    _pass(root, CountingEmbedder(), tmp_path / "cache")
    (root / "a" / "0.jpg").write_bytes(b"else")
    found = _pass(root, CountingEmbedder(), tmp_path / "cache")
    assert found.photos[0].vector.tolist() == list(b"else")


def test_what_was_made_before_the_end_of_a_run_is_kept(tmp_path: Path) -> None:
    root = _photos(tmp_path / "photos", 20)
    with pytest.raises(RetrainFailedError, match="enough"):
        # One thread: of several any piece may be the one that fails, and what follows it is made anew.
        _pass(root, CountingEmbedder(ends_at=33, concurrency=1), tmp_path / "cache")
    second = CountingEmbedder()
    found = _pass(root, second, tmp_path / "cache")
    assert len(found.photos) == 40
    assert len(second.asked) == 40 - 33


def test_a_photograph_that_vanishes_is_passed_over(tmp_path: Path) -> None:
    root = _photos(tmp_path / "photos")
    found_before = find_photos(root)
    (root / "a" / "3.jpg").unlink()
    with VectorCache(tmp_path / "cache", "k", 4) as cache:
        found = embed_photos(found_before, CountingEmbedder(), cache, lambda _: None)
    assert [each.reason for each in found.passed_over] == ["cannot be read: No such file or directory"]
    assert len(found.photos) == 15


@pytest.mark.parametrize("number", [1e6, -np.inf, np.nan])
def test_a_vector_that_is_not_finite_is_passed_over(number: float, tmp_path: Path) -> None:
    """It would make the whole head not finite, and stay in the cache."""

    class Wild(CountingEmbedder):
        def _made(self, content: bytes) -> npt.NDArray[np.float32]:
            return np.full(4, number if content == b"b003" else 1, dtype=np.float32)

    root = _photos(tmp_path / "photos")
    found = _pass(root, Wild(), tmp_path / "cache")
    (passed,) = found.passed_over
    assert passed.path == "b/3.jpg"
    assert "beyond 65,504" in passed.reason
    assert (len(found.photos), found.made) == (15, 15)
    again = CountingEmbedder()
    assert len(_pass(root, again, tmp_path / "cache").photos) == 16
    assert again.asked == [b"b003"], "nothing was kept of it"
