"""The versions of a model that is made: the next number, and a folder that is whole or not there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tfleet.training.model_versions import new_version, next_version, publish, unwritable


@pytest.mark.parametrize(
    ("names", "expected"),
    [([], 1), (["1"], 2), (["2", "10"], 11), (["0007"], 8), (["latest", ".making-1", "3"], 4)],
)
def test_the_next_number(tmp_path: Path, names: list[str], expected: int) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    assert next_version(tmp_path) == expected


def test_a_model_without_versions_begins_with_1(tmp_path: Path) -> None:
    assert next_version(tmp_path / "flowers") == 1


def test_what_is_in_the_way_of_a_version_is_named(tmp_path: Path) -> None:
    assert unwritable(tmp_path / "models" / "flowers") is None
    (tmp_path / "models").touch()
    assert unwritable(tmp_path / "models" / "flowers") == tmp_path / "models"


def test_a_version_appears_under_its_number(tmp_path: Path) -> None:
    model = tmp_path / "models" / "flowers"
    with new_version(model) as work:
        made = work / "model"
        made.mkdir()
        (made / "graph.pb").write_bytes(b"graph")
        assert not (model / "1").exists()
        assert publish(made, model) == model / "1"
    assert (model / "1" / "graph.pb").read_bytes() == b"graph"
    assert [path.name for path in model.iterdir()] == ["1"]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".making-old").mkdir()
    (tmp_path / ".making-old" / "graph.pb").write_bytes(b"half")
    with new_version(tmp_path) as first, new_version(tmp_path) as second:
        assert {path.name for path in tmp_path.iterdir()} == {first.name, second.name}


def test_nothing_is_left_of_a_version_that_failed(tmp_path: Path) -> None:
    def fail() -> None:
        with new_version(tmp_path) as work:
            (work / "half").write_bytes(b"")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_versions_at_once_get_numbers_of_their_own(tmp_path: Path) -> None:
    def make(number: int) -> Path:
        with new_version(tmp_path) as work:
            (work / "model").mkdir()
            (work / "model" / "number").write_text(str(number))
            return publish(work / "model", tmp_path)

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(24)))
    assert sorted(int(path.name) for path in made) == list(range(1, 25))
    assert {(path / "number").read_text() for path in made} == set(map(str, range(24)))
