from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.bulk.rows import RowFigures, RowRound, Turn, most_difference
from benchmarks.bulk.rows_text import rows_text
from tests.benchmarks.bulk.figures import CROWDED, QUIET, process, scored


def turn(per_second: float) -> Turn:
    return Turn(per_second, 2.0, process(600, 700))


def figures() -> RowFigures:
    csv = [RowRound(turn(ours), turn(100.0)) for ours in (50.0, 80.0, 90.0)]
    parquet = [RowRound(turn(300.0), turn(100.0))]
    more = {
        "csv": scored(10.0, 300, 600, 610, 620, 620, seconds=4),
        "parquet": scored(10.0, 300, 600, 900, seconds=2),
    }
    return RowFigures(3_000_000, {"csv": csv, "parquet": parquet}, turn(7.0), 5.0, more, 1e-7, QUIET)


def test_the_page_has_each_bar_with_its_figure() -> None:
    lines = rows_text(figures())
    assert (
        "| rows/s of csv, against Keras | at least 0.9 | 0.80 (0.50 to 0.90) | **missed** by 11.1% |" in lines
    )
    assert "| rows/s of parquet, against Keras | at least 0.9 | 3.00 | met by 233.3% |" in lines
    assert "| most memory, parquet | at most 1000 MB | 900 MB | met by 10.0% |" in lines


def test_memory_that_grows_in_the_second_half_misses_its_bar() -> None:
    found = [line for line in rows_text(figures()) if line.startswith("| memory in the second half")]
    assert [line.rpartition("| ")[2] for line in found] == ["met by 7.6% |", "**missed** by 36.4% |"]


def test_the_page_says_when_others_used_the_machine() -> None:
    assert not any("not quiet" in sentence for sentence in QUIET.sentences())
    assert CROWDED.sentences() == (
        "Before the rounds others used 0.76 (0.02 to 1.50) CPUs, and the load average was 7.5.",
        "**So the machine was not quiet,** and seconds of CPU say more than rates.",
    )


def test_other_rows_than_those_of_the_input_are_no_result(tmp_path: Path) -> None:
    keras, ours = tmp_path / "keras.parquet", tmp_path / "ours"
    ours.mkdir()
    pq.write_table(pa.table({"G1": [0, 1], "p": [0.25, 0.5]}), keras)
    part = pa.table({"G1": [0, 1], "output_0": [0.25, 0.75], "_error": pa.nulls(2, pa.string())})
    pq.write_table(part, ours / "part-00000.parquet")
    assert most_difference(ours, keras) == 0.25
    pq.write_table(part.slice(0, 1), ours / "part-00000.parquet")
    with pytest.raises(SystemExit, match="not those of the input"):
        most_difference(ours, keras)
