"""The table model that comes with tfleet: a worker names its examples rightly."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.worker_http import serving
from tfleet.contract.address import Address
from tfleet.worker.inference.open_model import load_model
from tfleet.worker.model.find import find_model

IRIS = Path(__file__).parents[3] / "worker" / "models" / "iris"
KINDS = ["setosa", "versicolor", "virginica"]

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def worker() -> Iterator[Address]:
    model = load_model(find_model(IRIS), cpus=1)
    model.warm_up((1, 2))
    with serving(model, name="iris") as (address, _):
        yield address
    model.close()


def test_its_examples_are_named_rightly(worker: Address) -> None:
    answer = requests.post(
        f"{worker.url}/predict?top=1",
        data=(IRIS / "1" / "examples.json").read_bytes(),
        headers={"Content-Type": "application/json"},
        timeout=10,
    )
    assert [best["label"] for (best,) in answer.json()["predictions"]] == KINDS


def test_a_flower_in_a_query_is_named_by_its_columns(worker: Address) -> None:
    query = "petal_width=1.9&sepal_length=5.8&sepal_width=2.7&petal_length=5.1"
    (best, *others) = requests.get(f"{worker.url}/predict?{query}", timeout=10).json()["predictions"]
    assert best["label"] == "virginica"
    assert sum(each["probability"] for each in (best, *others)) == pytest.approx(1, abs=1e-5)


def test_its_readme_has_the_digest_of_its_graph() -> None:
    digest = hashlib.sha256((IRIS / "1" / "graph.pb").read_bytes()).hexdigest()
    assert digest in (IRIS / "1" / "README.md").read_text()
