from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from tests.bulk.fake_scorer import FakeScorer, ListScorer
from tfleet.bulk.predictions import OutputPredictions
from tfleet.bulk.probe import answer_bytes
from tfleet.bulk.run import Rows
from tfleet.bulk.selection import Selection
from tfleet.bulk.sources.csv_file import CsvSource
from tfleet.bulk.sources.files import InputFile
from tfleet.bulk.sources.source import PieceLimits
from tfleet.worker.model.signature import TensorInfo


def rows(folder: Path, *contents: str) -> Rows:
    infos = {"x": TensorInfo("x", "x:0", "int64", (None,))}
    sources = []
    for number, content in enumerate(contents):
        path = folder / f"{number}.csv"
        path.write_text(content)
        sources.append(CsvSource(InputFile(str(path)), number, PieceLimits(1000, 10**6), infos))
    return Rows(sources, ("x",), ("x",), Selection(limit=1))


def test_the_largest_of_the_first_answers_counts(tmp_path: Path) -> None:
    scorer = ListScorer()
    found = rows(tmp_path, "x\n", "x\nnone\n" + "".join(f"{number}\n" for number in range(100, 120)))
    assert answer_bytes(found, scorer) == 8 * 106
    assert scorer.calls == [8]
    assert answer_bytes(found, ListScorer(most_rows=2)) == 8 * 100


def test_a_row_that_fails_has_a_small_answer(tmp_path: Path) -> None:
    assert answer_bytes(rows(tmp_path, "x\nnone\n"), ListScorer()) == 0


def test_an_input_without_rows_says_nothing(tmp_path: Path) -> None:
    assert answer_bytes(rows(tmp_path, "x\n", "x\n"), ListScorer()) == 0


def test_a_best_label_is_not_measured(tmp_path: Path) -> None:
    schema = pa.schema({"label": pa.string()})
    scorer = FakeScorer(predictions=OutputPredictions(schema, label="label"))
    assert answer_bytes(rows(tmp_path, "x\n1\n"), scorer) == 0
    assert scorer.calls == []
