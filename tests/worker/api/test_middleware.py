"""What is written down of what never became a request; of requests see test_app.py."""

from structlog.testing import capture_logs

from tfleet.contract.address import Address
from tfleet.contract.problem import Problem
from tfleet.discovery.instance import Instance
from tfleet.worker.api.middleware import refusals
from tfleet.worker.metrics import WorkerMetrics


def test_a_refusal_is_counted_and_has_its_line() -> None:
    metrics = WorkerMetrics()
    note = refusals(Instance("w1", Address("127.0.0.1", 1), "m", "1"), metrics)
    with capture_logs() as lines:
        note("mine", Problem(408, "send it again"))
    assert lines == [
        {
            "event": "request",
            "log_level": "info",
            "worker": "w1",
            "request_id": "mine",
            "method": None,
            "path": None,
            "status": 408,
            "error": "send it again",
        }
    ]
    assert b'tfleet_worker_requests_total{path="malformed",status="408"} 1.0' in metrics.text()
