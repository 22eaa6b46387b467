"""KServe's own client, as pip installs it, against a worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.models.asked import loaded
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


def test_health_and_readiness_are_read(said: Any) -> None:
    assert (said["live"], said["ready"], said["model ready"]) == (True, True, [True, False])


def test_sums_are_right_in_all_forms_of_kserve(said: Any) -> None:
    assert said["sums"] == [["42", [2.0, 5.0]]] * 12


def test_other_datatypes_are_read_and_answered(said: Any) -> None:
    assert said["datatypes"] == {
        "half": [2.0, -4.0],
        "brain": [3.0, 4.0],
        "whole": [2**53 + 2],
        "flag": [False],
        "word": ["Ada!"],
    }


def test_the_text_of_an_error_is_read(said: Any) -> None:
    status, text = said["a missing input"]
    assert status == 400
    assert "lacks 'b'" in text
    status, text = said["another model"]
    assert status == 404
    assert "arithmetic, version 1" in text
