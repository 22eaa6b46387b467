"""schemathesis drives a worker by its OpenAPI document."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from tests.support.schemathesis_run import driven, finite_model
from tests.support.worker_http import serving

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]


def test_no_request_breaks_the_worker_or_its_document(tmp_path: Path) -> None:
    with serving(finite_model(), name="wine") as (worker, _):
        assert driven(worker.url, tmp_path, examples=20) > 2000
        assert requests.get(f"{worker.url}/readyz", timeout=20).status_code == 200
