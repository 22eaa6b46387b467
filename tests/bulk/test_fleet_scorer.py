from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tfleet.bulk.errors import CannotScoreError, RunFailedError
from tfleet.bulk.fleet_connection import FleetConnection
from tfleet.bulk.fleet_model import fleet_model, zeros
from tfleet.bulk.fleet_scorer import FleetImageScorer, FleetScorer, plain_column
from tfleet.bulk.isolation import RejectedRowsError
from tfleet.bulk.model_columns import ImageColumn, model_columns
from tfleet.bulk.predictions import FleetLabelPredictions
from tfleet.client.errors import (
    BadImageError,
    BusyError,
    FleetError,
    FleetUnavailableError,
    RejectedInputError,
    UnexpectedAnswerError,
    WorkerFailedError,
)
from tfleet.client.http.transport import HttpResponse
from tfleet.client.model_document import default_model
from tfleet.client.results import Classification, Outcome, Prediction, Timing

DOCUMENT: dict[str, Any] = {
    "name": "sums",
    "version": "3",
    "stateful": False,
    "default_signature": "s",
    "labels": None,
    "columns": None,
    "preprocessing": None,
    "signatures": {
        "s": {
            "inputs": {"x": {"dtype": "int64", "shape": [None]}},
            "outputs": {"y": {"dtype": "int64", "shape": [None, 1]}},
        }
    },
}


class Doubling:
    """A client whose fleet doubles x, rejects a batch with 13, and fails as often as it is told to."""

    proxy = "http://fleet"

    def __init__(self, *failures: FleetError) -> None:
        self.failures = list(failures)
        self.sent: list[int] = []

    async def model_document(self) -> dict[str, Any]:
        return DOCUMENT

    async def predict_arrow(self, stream: bytes, *, signature: str | None = None) -> bytes:
        assert signature is None
        if self.failures:
            raise self.failures.pop(0)
        with pa.ipc.open_stream(stream) as reader:
            numbers = reader.read_all()["x"].to_pylist()
        self.sent.append(len(numbers))
        if 13 in numbers:
            raise RejectedInputError("input 'x', row 0 (the first is 0): 13 is bad luck", status=400)
        doubled = pa.array([[2 * number] for number in numbers], pa.list_(pa.int64(), 1))
        sink = pa.BufferOutputStream()
        batch = pa.record_batch({"y": doubled})
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        return bytes(sink.getvalue().to_pybytes())

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def connect() -> Iterator[Callable[..., tuple[FleetConnection, list[float]]]]:
    """Connect with a clock that goes on only while somebody sleeps."""
    open_ones: list[FleetConnection] = []

    def make(client: Any) -> tuple[FleetConnection, list[float]]:
        slept: list[float] = []
        open_ones.append(FleetConnection(client, clock=lambda: sum(slept), sleep=slept.append))
        return open_ones[-1], slept

    yield make
    for each in open_ones:
        each.close()


def scorer(fleet: FleetConnection) -> FleetScorer:
    model = fleet.model()
    columns = model_columns(model.layout(), ["x"], "the rows")
    return FleetScorer(fleet, columns, fleet.predictions(model, 1), batch_rows=100, concurrency=1)


def test_rows_go_to_the_fleet_and_come_back_as_columns(connect: Any) -> None:
    fleet, _ = connect(Doubling())
    found = scorer(fleet).score(pa.record_batch({"id": ["a", "b"], "x": [1, 2]}), {})
    assert found.predictions.to_pydict() == {"y": [2, 4]}
    assert found.errors == {}


def test_a_rejected_row_does_not_harm_the_others(connect: Any) -> None:
    fleet, _ = connect(Doubling())
    found = scorer(fleet).score(pa.record_batch({"x": pa.array([1, 13, None, 4, 5])}), {4: "unread"})
    assert found.predictions.to_pydict() == {"y": [2, None, None, 8, None]}
    assert found.errors == {1: "input 'x': 13 is bad luck", 2: "column 'x': no value", 4: "unread"}


def test_a_busy_fleet_gets_the_time_that_it_asks_for(connect: Any) -> None:
    busy = [BusyError("busy", status=429, retry_after_s=7), WorkerFailedError("lost", status=502)]
    fleet, slept = connect(Doubling(*busy))
    found = scorer(fleet).score(pa.record_batch({"x": [1]}), {})
    assert found.predictions.to_pydict() == {"y": [2]}
    assert slept == [7, 1]


def test_a_fleet_that_stays_silent_ends_the_run(connect: Any) -> None:
    fleet, slept = connect(Doubling(*[BusyError("busy", status=429, retry_after_s=60)] * 100))
    with pytest.raises(RunFailedError, match="the fleet does not answer: busy"):
        scorer(fleet).score(pa.record_batch({"x": [1]}), {})
    assert sum(slept) == 300


def test_a_proxy_without_model_names_ends_the_run_at_once(connect: Any) -> None:
    fleet, slept = connect(Doubling(UnexpectedAnswerError("the proxy named a worker of no model")))
    with pytest.raises(RunFailedError, match="named a worker of no model"):
        scorer(fleet).score(pa.record_batch({"x": [1]}), {})
    assert slept == []


def test_a_fixed_list_of_workers_has_no_default_model() -> None:
    models = b'{"models": [{"name": "", "default": true}]}'
    with pytest.raises(FleetUnavailableError, match="fixed list of workers"):
        default_model(HttpResponse("http://proxy/models", 200, {}, models), "r1")


def test_what_a_fleet_rejects_is_not_sent_again(connect: Any) -> None:
    client = Doubling()
    fleet, _ = connect(client)
    with pytest.raises(RejectedRowsError):
        fleet.outputs(_stream(pa.record_batch({"x": [13]})))
    assert client.sent == [1]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"stateful": True}, "sums/3: keeps state"),
        (
            {"default_signature": None},
            "sums/3: has several signatures: choose one of 's' with --signature",
        ),
    ],
)
def test_models_that_are_not_for_bulk_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(CannotScoreError, match=reason):
        fleet_model(DOCUMENT | changes)


def test_a_signature_that_is_not_there_is_refused() -> None:
    with pytest.raises(CannotScoreError, match=r"^sums/3: has no signature 't'; it has 's'$"):
        fleet_model(DOCUMENT, "t")


def test_labels_and_columns_are_those_of_the_default_signature() -> None:
    signatures = DOCUMENT["signatures"] | {"t": DOCUMENT["signatures"]["s"]}
    document = DOCUMENT | {
        "signatures": signatures,
        "labels": ["a", "b"],
        "columns": ["x"],
        "preprocessing": {"size": [8, 8]},
    }
    default, other = fleet_model(document), fleet_model(document, "t")
    assert (default.labels, default.columns, default.images) == (("a", "b"), ("x",), True)
    assert (other.labels, other.columns, other.images) == (None, (), False)
    assert (default.stated, other.stated) == (None, "t")


class Looking:
    """A client whose fleet says what an image's first byte is, and rejects what is no image."""

    proxy = "http://fleet"

    async def outcome(self, source: Any, *, top: int) -> Outcome[Any]:
        content = source if isinstance(source, bytes) else await asyncio.to_thread(source.read_bytes)
        if content.startswith(b"bad"):
            return Outcome(source, error=BadImageError("is no image", status=400))
        found = (Prediction(f"byte {content[0]}", 0.5), Prediction("other", 0.25))[:top]
        answer = Classification(found, "w", "m/1", "id", Timing(), elapsed_ms=1)
        return Outcome(source, classification=answer)

    async def close(self) -> None:
        """Nothing is open."""


def test_images_go_to_the_fleet_by_bytes_and_by_path(connect: Any, tmp_path: Path) -> None:
    document = DOCUMENT | {"labels": ["a", "b", "c"], "preprocessing": {"size": [8, 8]}}
    fleet, _ = connect(Looking())
    predictions = fleet.predictions(fleet_model(document), 2)
    assert predictions.schema.names == ["labels", "probabilities"]
    scorer = FleetImageScorer(fleet, ImageColumn("image"), predictions, concurrency=1)
    (tmp_path / "a.jpg").write_bytes(b"A")
    rows = [str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg"), None]
    found = scorer.score(pa.record_batch({"image": rows}), {})
    assert found.predictions["labels"].to_pylist() == [["byte 65", "other"], None, None]
    assert found.errors == {
        1: "the image cannot be read: there is no such file",
        2: "column 'image': no value",
    }
    found = scorer.score(pa.record_batch({"image": [b"bad", b"B"]}), {})
    assert found.predictions["probabilities"].to_pylist() == [None, [0.5, 0.25]]
    assert found.errors == {0: "is no image"}


def test_a_pause_ends_when_the_run_is_given_up() -> None:
    fleet = FleetConnection(Doubling(*[BusyError("busy", status=429, retry_after_s=200)] * 100))  # type: ignore[arg-type] # it answers as a client does
    threading.Timer(0.2, fleet.give_up).start()
    with pytest.raises((RunFailedError, RuntimeError)):
        fleet.outputs(_stream(pa.record_batch({"x": [1]})))


def test_an_answer_that_says_something_else_is_refused(connect: Any) -> None:
    class Odd(Doubling):
        async def model_document(self) -> dict[str, Any]:
            return {"hello": "world"}

    fleet, _ = connect(Odd())
    with pytest.raises(CannotScoreError, match=r"^http://fleet: does not say what its model is$"):
        fleet.model()


def test_an_answer_with_other_rows_ends_the_run() -> None:
    table = pa.table({"y": [1, 2]})
    assert plain_column(table, pa.field("y", pa.float32()), 2).to_pylist() == [1.0, 2.0]
    for field, rows in ((pa.field("y", pa.int64()), 3), (pa.field("z", pa.int64()), 2)):
        with pytest.raises(RunFailedError, match="the fleet's answer has no"):
            plain_column(table, field, rows)


def test_labels_keep_their_order() -> None:
    answers = [(Prediction("cat", 0.75), Prediction("dog", 0.25)), ()]
    scores = [(Prediction("cat", None, 0.75), Prediction("dog", None, 0.25)), ()]
    one, two = FleetLabelPredictions(True, 1), FleetLabelPredictions(False, 2)
    assert [each.to_pylist() for each in one.of_answers(answers, 2)] == [["cat", None], [0.75, None]]
    assert [each.to_pylist() for each in two.of_answers(scores, 2)] == [
        [["cat", "dog"], []],
        [[0.75, 0.25], []],
    ]
    assert (one.probability, two.probability) == ("probability", None)
    assert (one.schema.names, two.schema.names) == (["label", "probability"], ["labels", "scores"])
    with pytest.raises(RunFailedError, match="answer has probabilities, and another one had not"):
        two.of_answers(answers, 2)
    with pytest.raises(RunFailedError, match="has answered 2 rows, and 3 were sent"):
        one.of_answers(answers, 3)


def test_a_row_of_zeros_has_all_columns() -> None:
    inputs = {
        "b": {"dtype": "bool", "shape": [None]},
        "m": {"dtype": "float32", "shape": [None, 2, None]},
        "n": {"dtype": "int8", "shape": [None, 1]},
        "w": {"dtype": "string", "shape": [None]},
    }
    signatures = {"s": {"inputs": inputs, "outputs": {}}}
    layout = fleet_model(DOCUMENT | {"signatures": signatures}).layout()
    assert zeros(layout).to_pylist() == [{"b": False, "m": [[0.0], [0.0]], "n": 0, "w": ""}]


def _stream(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with closing(pa.ipc.new_stream(sink, batch.schema)) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())
