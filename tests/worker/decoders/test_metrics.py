import math
import sys

import pytest
import structlog

from tfleet.worker.decoders import DecodeJob, DecoderPool, NoDecoderError, PoolLimits
from tfleet.worker.decoders.errors import KillReason
from tfleet.worker.decoders.metrics import DecoderMetrics
from tfleet.worker.metrics import WorkerMetrics


def test_pool_counters_are_read_at_each_scrape() -> None:
    pool = DecoderPool((sys.executable, "-c", ""), PoolLimits.for_cpus(2), log=structlog.get_logger())
    metrics = WorkerMetrics()
    metrics.include(DecoderMetrics(pool))
    with pytest.raises(NoDecoderError):
        pool.run(DecodeJob("pixels", {}, b"", 0), arrived_s=math.inf, deadline_s=math.inf, gone=lambda: False)
    lines = metrics.text().decode().splitlines()
    pool.close()
    assert "tfleet_worker_decoders_running 0.0" in lines
    assert "tfleet_worker_decoders_waiting 0.0" in lines
    for reason in KillReason:
        times = float(reason is KillReason.DIED)
        assert f'tfleet_worker_decoders_killed_total{{reason="{reason}"}} {times}' in lines
