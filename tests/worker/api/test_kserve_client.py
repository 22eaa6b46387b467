"""KServe's own client, as pip installs it, against a worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.models.asked import loaded
from tests.support.client_calls import check_calls_of_kserve
from tests.support.client_environments import called, required_client
from tests.support.tensor_models import write_arithmetic
from tests.support.worker_http import serving

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Any:
    python = required_client(Path(__file__).with_name("kserve.txt"))
    folder = write_arithmetic(tmp_path_factory.mktemp("arithmetic") / "arithmetic")
    with loaded(folder) as model, serving(model, name="arithmetic") as (address, _):
        return called(python, "kserve_calls.py", str(address))


def test_every_call_of_kserve_is_answered_or_says_why_not(said: Any) -> None:
    check_calls_of_kserve(said)


def test_other_datatypes_are_read_and_answered(said: Any) -> None:
    assert said["datatypes"] == {
        "half": [2.0, -4.0],
        "brain": [3.0, 4.0],
        "whole": [2**53 + 2],
        "flag": [False],
        "word": ["Ada!"],
    }
