"""Damaged bodies sent to a worker: it answers each with a documented status, and goes on."""

from __future__ import annotations

import dataclasses
import http.client
import json
from collections import Counter
from collections.abc import Iterator
from itertools import chain

import pytest

from tests.support.fake_model import Arrays, FakeModel, FakePredictor, FakeSession
from tests.support.worker_http import serving
from tests.worker.api.protocols.fuzz import SEEDS, damaged
from tests.worker.api.protocols.mutations import Mutator
from tfleet.contract.address import Address

RUNS = 600
MODELS = {seed.model: f"s{number}" for number, seed in enumerate(chain.from_iterable(SEEDS.values()))}
ANSWERS = (
    "application/json",
    "text/csv",
    "application/vnd.apache.arrow.stream",
    "application/x-npz",
    "image/png",
)


def echo(_signature: str, inputs: Arrays) -> Arrays:
    return inputs


@pytest.fixture
def worker() -> Iterator[Address]:
    """A worker with all signatures of the seeds, which answers with its inputs."""
    model = FakeModel(default=None)
    signatures = {
        name: dataclasses.replace(signature, name=name, outputs=signature.inputs)
        for signature, name in MODELS.items()
    }
    model.session = FakeSession(signatures, None)
    model.predictor = FakePredictor(echo)
    model.predictor.gate.set()
    with serving(model, name="echo") as (address, _):
        yield address


@pytest.mark.process
@pytest.mark.parametrize("form", SEEDS)
def test_a_worker_answers_damaged_bodies(worker: Address, form: str) -> None:
    mutator = Mutator(5)
    found: Counter[int] = Counter()
    connection = http.client.HTTPConnection(worker.host, worker.port, timeout=20)
    for _ in range(RUNS):
        good, body = damaged(form, mutator)
        headers = {"Content-Type": good.media_type, "Accept": ANSWERS[mutator.pick(len(ANSWERS))]}
        connection.request("POST", f"/predict?signature={MODELS[good.model]}", body, headers)
        answer = connection.getresponse()
        content = answer.read()
        found[answer.status] += 1
        if answer.status >= 400:
            problem = json.loads(content)
            assert (problem["status"], problem["success"]) == (answer.status, False), body
    connection.close()
    assert found.keys() <= {200, 400, 406, 413}, found
    assert found[200]
    assert found[400] > RUNS / 2
