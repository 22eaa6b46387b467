from __future__ import annotations

import json
from typing import Any

import pytest

from tfleet.client import UnexpectedAnswerError, WorkerStatus
from tfleet.client.reply import Reply
from tfleet.client.worker_status import worker_statuses, workers_document


def reply(document: Any) -> Reply:
    return Reply("http://proxy:12480/workers", 200, {}, json.dumps(document).encode())


def test_each_row_is_a_worker_and_unknown_fields_are_kept_in_the_document_only() -> None:
    row = {
        "id": "w1",
        "address": "10.0.0.1:80",
        "model": "m",
        "version": 2,
        "state": "ejected",
        "in_flight": 3,
        "last_error": "refused",
        "weight": 7,
    }
    document = workers_document(reply({"workers": [row], "at": 1}))
    assert document == {"workers": [row], "at": 1}
    (worker,) = worker_statuses(document)
    assert worker == WorkerStatus("w1", "10.0.0.1:80", "m", "2", "ejected", 3, "refused")
    assert worker.model_label == "m/2"


def test_what_a_row_leaves_out_is_empty() -> None:
    document = workers_document(reply({"workers": [{"id": "w", "address": "a:1", "last_error": None}]}))
    (worker,) = worker_statuses(document)
    assert worker == WorkerStatus("w", "a:1")
    assert worker.model_label == ""


@pytest.mark.parametrize(
    "document",
    [{}, {"workers": {}}, {"workers": ["w"]}, {"workers": [{"id": "w"}]}, {"workers": [{"id": 1}]}],
)
def test_a_document_without_workers_is_not_tfleets(document: Any) -> None:
    with pytest.raises(UnexpectedAnswerError, match="lists no workers"):
        workers_document(reply(document))
