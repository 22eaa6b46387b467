from __future__ import annotations

import pickle

import pytest

from tfleet.client import BusyError, FleetError, FleetUnavailableError, TryLaterError


@pytest.mark.parametrize("kind", [BusyError, FleetUnavailableError])
def test_one_except_covers_all_retryable_errors(kind: type[TryLaterError]) -> None:
    error = kind("later", status=503, request_id="r", retry_after_s=2.0)
    assert isinstance(error, TryLaterError)
    assert isinstance(error, FleetError)
    assert (str(error), error.status, error.request_id, error.retry_after_s) == ("later", 503, "r", 2.0)


def test_a_pickled_error_keeps_all_its_fields() -> None:
    error = pickle.loads(pickle.dumps(BusyError("full", status=429, request_id="r", retry_after_s=1.0)))
    assert (str(error), error.status, error.request_id, error.retry_after_s) == ("full", 429, "r", 1.0)
