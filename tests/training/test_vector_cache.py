"""Vectors survive whatever ends a run, and a damaged one is never used."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from tfleet.training.errors import CannotRetrainError
from tfleet.training.vector_cache import Vector, VectorCache


def _digest(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def _vector(number: int) -> Vector:
    return np.arange(number, number + 8, dtype=np.float16)


def _filled(folder: Path, count: int = 3) -> Path:
    with VectorCache(folder, "model", 8) as cache:
        for number in range(count):
            cache.add({_digest(number): _vector(number)})
        return cache.path


def test_vectors_are_there_in_the_next_run(tmp_path: Path) -> None:
    _filled(tmp_path)
    with VectorCache(tmp_path, "model", 8) as cache:
        assert len(cache) == 3
        found = cache.get(_digest(2))
        assert found is not None
        assert found.tobytes() == _vector(2).tobytes()
        assert cache.get(_digest(3)) is None
    with VectorCache(tmp_path, "other-model", 8) as other:
        assert len(other) == 0


@pytest.mark.parametrize("cut", [1, 20, 51])
def test_a_truncated_file_loses_its_last_vector_only(tmp_path: Path, cut: int) -> None:
    path = _filled(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    with VectorCache(tmp_path, "model", 8) as cache:
        assert (len(cache), cache.damaged) == (2, 1)
        cache.add({_digest(9): _vector(9)})
    with VectorCache(tmp_path, "model", 8) as again:
        found = again.get(_digest(9))
        assert found is not None
        assert found.tobytes() == _vector(9).tobytes()
        assert (len(again), again.damaged) == (3, 0)


def test_a_changed_byte_costs_its_vector(tmp_path: Path) -> None:
    path = _filled(tmp_path)
    content = bytearray(path.read_bytes())
    content[-60] ^= 1  # in the last but one
    path.write_bytes(content)
    with VectorCache(tmp_path, "model", 8) as cache:
        assert cache.damaged == 1
        assert [cache.get(_digest(number)) is None for number in range(3)] == [False, True, False]
        cache.add({_digest(1): _vector(1)})
    with VectorCache(tmp_path, "model", 8) as again:
        assert (len(again), again.damaged) == (3, 0), "it is told once"
        for number in range(3):
            found = again.get(_digest(number))
            assert found is not None
            assert found.tobytes() == _vector(number).tobytes()


@pytest.mark.parametrize("content", [b"", b"something else", b"x" * 5000])
def test_another_file_in_its_place_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    path = _filled(tmp_path)
    path.write_bytes(content)
    with VectorCache(tmp_path, "model", 8) as cache:
        assert len(cache) == 0
    assert path.read_bytes()[:9] == b'{"tfleet"'


def test_two_runs_add_to_one_file(tmp_path: Path) -> None:
    with VectorCache(tmp_path, "model", 8) as one, VectorCache(tmp_path, "model", 8) as other:
        one.add({_digest(1): _vector(1)})
        other.add({_digest(2): _vector(2)})
        one.add({_digest(3): _vector(3)})
        assert [one.get(_digest(n)) is None for n in (1, 2, 3)] == [False, True, False]
    with VectorCache(tmp_path, "model", 8) as cache:
        found = [cache.get(_digest(number)) for number in (1, 2, 3)]
    assert [None if each is None else int(each[0]) for each in found] == [1, 2, 3]


def test_a_folder_that_takes_no_files_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotRetrainError, match="give another folder with --cache"):
        VectorCache(tmp_path / "file", "model", 8)
