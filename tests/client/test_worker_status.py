from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tfleet.client import UnexpectedAnswerError, WorkerStatus
from tfleet.client.http.transport import HttpResponse
from tfleet.client.worker_status import WorkerList, read_worker_list, worker_statuses, workers_document


def reply(document: Any) -> HttpResponse:
    return HttpResponse("http://proxy:12480/workers", 200, {}, json.dumps(document).encode())


def test_each_row_is_a_worker_without_unknown_fields() -> None:
    """Unknown fields are kept in the document."""
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


@pytest.mark.parametrize(
    ("headers", "ticket"), [({"X-Ticket": "1.a"}, "1.a"), ({}, ""), ({"X-Ticket": "\udce9"}, "")]
)
def test_a_roster_has_the_ticket_that_came_with_it(headers: dict[str, str], ticket: str) -> None:
    found = read_worker_list(replace(reply({"workers": [{"id": "w", "address": "a:1"}]}), headers=headers))
    assert found == WorkerList((WorkerStatus("w", "a:1"),), ticket)
    assert "1.a" not in repr(found)


def test_missing_fields_of_a_row_are_empty() -> None:
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
