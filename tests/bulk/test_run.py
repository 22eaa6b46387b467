from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.bulk.fake_scorer import FakeScorer, ListScorer
from tfleet.bulk.errors import BrokenInputError, CannotScoreError, InputChangedError, RunFailedError
from tfleet.bulk.manifest import RunPlan
from tfleet.bulk.output import OutputFolder
from tfleet.bulk.run import CheckInputs, RowLimits, Rows, Run
from tfleet.bulk.selection import Selection
from tfleet.bulk.sources.csv_file import CsvSource
from tfleet.bulk.sources.files import InputDigest, InputFile
from tfleet.bulk.sources.parquet import ParquetSource
from tfleet.bulk.sources.source import InputPlace, PieceLimits
from tfleet.bulk.tally import Tally
from tfleet.bulk.unchanged import UnchangedInputs
from tfleet.worker.model.signature import TensorInfo

LIMITS = RowLimits(part_rows=20_000, part_bytes=10**8, batch_bytes=10**7, tensor_bytes=8)
PLAN = RunPlan({"name": "m", "sha256": "1"}, [InputDigest("f", 1, "2")], {"--top": 1})
PIECES = PieceLimits(16_384, 10**6)
X = {"x": TensorInfo("x", "x:0", "int64", (None,))}


class KilledError(Exception):
    """What ends a run at once."""


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    """100,000 rows in two Parquet files and a CSV file."""
    sources: list[Any] = []
    for number in range(2):
        path = tmp_path / f"{number}.parquet"
        first = number * 30_000
        pq.write_table(pa.table({"x": range(first, first + 30_000)}), path, row_group_size=12_345)
        sources.append(ParquetSource(InputFile(str(path)), number, PIECES))
    path = tmp_path / "2.csv"
    path.write_text("x\n" + "".join(f"{number}\n" for number in range(60_000, 100_000)) + "broken\n")
    sources.append(CsvSource(InputFile(str(path)), 2, PIECES, X))
    return Rows(sources, ("x",), ("x",), Selection())


def run(
    rows: Rows,
    out: Path,
    scorer: FakeScorer,
    *,
    resume: bool = False,
    limits: RowLimits = LIMITS,
    check_inputs: CheckInputs = lambda start, end: None,
) -> tuple[Tally, list[tuple[InputPlace, Tally]]]:
    reports: list[tuple[InputPlace, Tally]] = []
    with closing(OutputFolder(out)) as folder:
        written = folder.open(PLAN, resume=resume)
        total = Run(rows, scorer, folder, PLAN, limits, check_inputs)(
            written, lambda *report: reports.append(report)
        )
    return total, reports


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def test_every_row_is_scored_once_and_in_order(rows: Rows, tmp_path: Path) -> None:
    scorer = FakeScorer(failing=frozenset({7, 45_000}))
    total, reports = run(rows, tmp_path / "out", scorer)
    table = pq.read_table(tmp_path / "out")
    assert table.schema.names == ["x", "y", "_error"]
    assert table["x"].to_pylist() == [*range(100_000), None]
    assert [row for row in table.to_pylist() if row["y"] is None] == [
        {"x": 7, "y": None, "_error": "is told to fail"},
        {"x": 45_000, "y": None, "_error": "is told to fail"},
        {"x": None, "y": None, "_error": "column 'x': 'broken' is no int64"},
    ]
    assert all(row["y"] == 2 * row["x"] for row in table.to_pylist() if row["_error"] is None)
    assert (total.rows, total.failed) == (100_001, 3)
    assert reports[-1][1] == total
    assert max(scorer.calls) == 100


def test_parts_have_about_as_many_rows_as_they_should(rows: Rows, tmp_path: Path) -> None:
    run(rows, tmp_path / "out", FakeScorer())
    counts = [pq.read_metadata(path).num_rows for path in sorted((tmp_path / "out").glob("part-*"))]
    assert counts == [24_690, 30_000, 21_694, 23_617]


def test_a_part_is_full_with_its_bytes(rows: Rows, tmp_path: Path) -> None:
    limits = RowLimits(part_rows=10**6, part_bytes=16 * 20_000, batch_bytes=800, tensor_bytes=8)
    scorer = FakeScorer()
    run(rows, tmp_path / "out", scorer, limits=limits)
    assert len(list((tmp_path / "out").glob("part-*"))) == 4
    assert max(scorer.calls) == 50


def test_answers_that_grow_do_not_fill_the_memory(rows: Rows, tmp_path: Path) -> None:
    limits = RowLimits(part_rows=10**6, part_bytes=70_000, batch_bytes=800, tensor_bytes=1)
    with pytest.raises(BrokenInputError, match=r"more than 560000 bytes, .* --part-rows \d+"):
        run(rows, tmp_path / "out", ListScorer(), limits=limits)


@pytest.mark.parametrize(
    "ending", [2, *(pytest.param(each, marks=pytest.mark.process) for each in (0, 1, 3))]
)
def test_a_run_that_ends_early_goes_on_as_if_it_had_not(rows: Rows, tmp_path: Path, ending: int) -> None:
    run(rows, tmp_path / "whole", FakeScorer())

    def end(batch: pa.RecordBatch) -> None:
        if [0, 24_700, 60_000, 99_999][ending] in batch["x"].to_pylist():
            raise KilledError

    with pytest.raises(KilledError):
        run(rows, tmp_path / "out", FakeScorer(before=end, most_rows=10))
    scorer = FakeScorer()
    total, reports = run(rows, tmp_path / "out", scorer, resume=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert total.rows == 100_001
    assert sum(scorer.calls) == 100_001 - reports[0][1].rows


def test_a_run_that_is_done_scores_nothing_again(rows: Rows, tmp_path: Path) -> None:
    before, _ = run(rows, tmp_path / "out", FakeScorer())
    scorer = FakeScorer()
    after, _ = run(rows, tmp_path / "out", scorer, resume=True)
    assert (after, scorer.calls) == (before, [])


def test_a_limit_holds_across_two_runs(rows: Rows, tmp_path: Path) -> None:
    limited = Rows(rows.sources, ("x",), ("x",), Selection(limit=40_000))

    def end(batch: pa.RecordBatch) -> None:
        if batch["x"][0].as_py() == 24_690:
            raise KilledError

    with pytest.raises(KilledError):
        run(limited, tmp_path / "out", FakeScorer(before=end))
    scorer = FakeScorer()
    run(limited, tmp_path / "out", scorer, resume=True)
    assert sum(scorer.calls) == 40_000 - 24_690
    assert pq.read_table(tmp_path / "out")["x"].to_pylist() == list(range(40_000))


def test_an_output_without_rows_has_columns(rows: Rows, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("x\n")
    nothing = Rows(
        [CsvSource(InputFile(str(tmp_path / "empty.csv")), 0, PIECES, X)], ("x",), ("x",), Selection()
    )
    total, _ = run(nothing, tmp_path / "out", FakeScorer())
    assert total == Tally()
    assert pq.read_table(tmp_path / "out").schema.names == ["x", "y", "_error"]


def test_an_input_that_breaks_off_keeps_what_is_written(rows: Rows, tmp_path: Path) -> None:
    class Broken:
        name = "broken"
        columns = ("x",)
        rows = None

        def digest(self) -> InputDigest:
            raise NotImplementedError

        def schema(self, columns: object) -> pa.Schema:
            return pa.schema({"x": pa.int64()})

        def pieces(self, start: InputPlace, columns: object) -> Iterator[Any]:
            raise RunFailedError("broken: cannot be read")
            yield

    broken = Rows([*rows.sources[:2], Broken()], ("x",), ("x",), Selection())
    with pytest.raises(RunFailedError, match="broken: cannot be read"):
        run(broken, tmp_path / "out", FakeScorer())
    assert len(list((tmp_path / "out").glob("part-*"))) == 2


def test_an_input_that_grows_ends_the_run(rows: Rows, tmp_path: Path) -> None:
    files = [tmp_path / "0.parquet", tmp_path / "1.parquet", tmp_path / "2.csv"]
    inputs = UnchangedInputs([("rows", [InputFile(str(path))]) for path in files])

    def grow(batch: pa.RecordBatch) -> None:
        if 70_000 in batch["x"].to_pylist():
            with files[2].open("a") as file:
                file.write("100000\n" * 500)

    with pytest.raises(InputChangedError, match=r"2.csv: has changed since the run began"):
        run(rows, tmp_path / "out", FakeScorer(before=grow), check_inputs=inputs.check)
    assert pq.read_table(tmp_path / "out")["x"].to_pylist() == list(range(54_690))


def test_reading_scoring_and_writing_overlap(rows: Rows, tmp_path: Path) -> None:
    """The source is asked for the second part while the first one is scored."""
    asked = threading.Event()
    source = rows.sources[0]

    class Watched:
        name, columns, rows = source.name, source.columns, source.rows
        schema, digest = source.schema, source.digest

        def pieces(self, start: InputPlace, columns: Any) -> Iterator[Any]:
            for number, piece in enumerate(source.pieces(start, columns)):
                if number == 2:
                    asked.set()
                yield piece

    def wait(batch: pa.RecordBatch) -> None:
        assert asked.wait(20)

    watched = Rows([Watched()], ("x",), ("x",), Selection())
    total, _ = run(watched, tmp_path / "out", FakeScorer(before=wait))
    assert total.rows == 30_000


def test_a_folder_in_use_is_refused(rows: Rows, tmp_path: Path) -> None:
    with closing(OutputFolder(tmp_path / "out")) as folder:
        folder.open(PLAN, resume=False)
        with pytest.raises(CannotScoreError, match="another run writes there"):
            run(rows, tmp_path / "out", FakeScorer(), resume=True)
