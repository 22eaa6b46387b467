"""Asks a model over HTTP as clients do: in every form, one request after the other and all at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, get_args

import requests

from tests.models.answers import Golden, answer_types, as_array, check, one_row, read_answer
from tests.models.bodies import JSON, Request, bodies, single_rows
from tests.models.other_protocols import check_other_protocols
from tests.support.waiting import eventually_sync
from tfleet.client import FleetClient
from tfleet.client.rows import RowsForm

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Question:
    """What a signature of the model NAME is asked, and what it should answer.

    `columns` are those that model.toml names. Without `rows` it takes complete tensors only.
    """

    model: str
    golden: Golden
    rows: bool = True
    columns: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return f"/models/{self.model}/signatures/{self.golden.signature}/predict"

    def requests(self) -> Iterator[tuple[Request, Any]]:
        """Every form of all rows, and of each row alone, with the expected outputs."""
        for each in bodies(self.golden.inputs, self.columns, rows=self.rows):
            yield each, self.golden.outputs
        for number in range(self.count if self.rows else 0):
            row = one_row(self.golden.outputs, number)
            for each in single_rows(self.golden.inputs, number, self.columns):
                yield each, row

    @property
    def count(self) -> int:
        return len(next(iter(self.golden.inputs.values())))


def check_by_http(url: str, question: Question) -> None:
    """Every form gives the golden answer: alone, with other requests, and answered in each form. So do the
    forms of other protocols.
    """
    check_other_protocols(url, question.model, question.golden, rows=question.rows)
    for request, expected in question.requests():
        ask(url, question, request, expected)
    body = next(bodies(question.golden.inputs, question.columns, rows=question.rows))
    for accept in answer_types(question.golden, rows=question.rows):
        ask(url, question, body, question.golden.outputs, accept)
    least = 2 if question.rows else 1
    eventually_sync(lambda: _ask_all_at_once(url, question), wanted=lambda batch: batch >= least)


def _ask_all_at_once(url: str, question: Question) -> int:
    """Ask in all forms, and many times in the one that is read fastest; how many ran in the largest batch."""
    asked = list(question.requests())
    asked += asked[:1] * _AT_ONCE
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return max(threads.map(lambda pair: ask(url, question, *pair), asked))


def ask(url: str, question: Question, request: Request, expected: Any, accept: str = JSON) -> int:
    """Check one answer; how many requests ran in its batch. requests follows redirects, also of a POST."""
    where = f"{url}{question.path}, {request.form} to {accept}"
    headers = {"Accept": accept}
    if request.query:
        answer = requests.get(f"{url}{question.path}", list(request.query), headers=headers, timeout=60)
    else:
        headers["Content-Type"] = request.media_type
        answer = requests.post(f"{url}{question.path}", request.body, headers=headers, timeout=60)
    assert answer.status_code == 200, f"{where}: {answer.text}"
    check(read_answer(answer.content, accept, question.golden.outputs), expected, where)
    return int(answer.headers["X-Batch-Size"])


def check_by_client(client: FleetClient, question: Question) -> None:
    """The Python client gets the golden answers, for complete inputs and, where there are any, for rows."""
    golden, signature = question.golden, question.golden.signature
    if not question.rows:
        check_predict(client, dict(golden.inputs), golden.outputs, signature)
        return
    rows = [
        json.loads(next(single_rows(golden.inputs, number, question.columns)).body)
        for number in range(question.count)
    ]
    check_predict(client, rows, golden.outputs, signature)
    for number, row in enumerate(rows):
        check_predict(client, row, one_row(golden.outputs, number), signature)
    for form in get_args(RowsForm):
        found = list(client.predict_rows(rows, form=form, batch_rows=2, signature=signature))
        assert len(found) == len(rows)
        for number, result in enumerate(found):
            where = f"{client}, predict_rows as {form}"
            check(_arrays(result.outputs), one_row(golden.outputs, number), where)


def check_predict(client: FleetClient, inputs: Any, expected: Any, signature: str) -> None:
    """`predict` gets these outputs."""
    check(_arrays(client.predict(inputs, signature=signature).outputs), expected, f"{client}, predict")


def _arrays(outputs: Any) -> dict[str, Any]:
    return {name: as_array(value) for name, value in outputs.items()}
