from pathlib import Path

from benchmarks.bulk.make_photos import make_photos


def test_no_two_photographs_are_alike_and_each_run_has_the_same(tmp_path: Path) -> None:
    first, second = ([name.read_bytes() for name in make_photos(tmp_path / run, 12)] for run in "ab")
    assert first == second
    assert len(set(first)) == len(first)
