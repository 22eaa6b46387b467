"""A worker whose model takes rows, and the model itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.fake_model import FakeModel
from tests.support.worker_http import serving
from tfleet.contract.address import Address


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def wine(model: FakeModel) -> Iterator[Address]:
    with serving(model, name="wine") as (address, _):
        yield address
