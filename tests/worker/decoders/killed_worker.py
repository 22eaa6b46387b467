"""A worker of the tests, which is killed while its decoder is at work. Run as a process: STARTED FUNCTION."""

import sys

import structlog

from tests.worker.decoders.program import COMMAND
from tfleet.worker.decoders import DecodeJob, DecoderPool, PoolLimits

if __name__ == "__main__":
    started, function = sys.argv[1:]
    pool = DecoderPool(COMMAND, PoolLimits(1, 0, decode_timeout_s=60), log=structlog.get_logger())
    job, never = DecodeJob(function, {"started": started}, b"", 0), float("inf")
    pool.run(job, arrived_s=never, deadline_s=never, gone=lambda: False)
