"""Damaged inference requests sent to a worker: each gets a documented status, and nothing grows.

    python -m tests.worker.api.protocols.oip.damaged_requests 50000

Body, header and compression are damaged. The worker is the real server with the real application; its model
answers with its inputs.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import logging
import sys
import time
import zlib
from collections import Counter
from typing import Final

import structlog

from tests.support.memory import resident_bytes
from tests.worker.api.protocols.fuzz_over_http import echoing_worker
from tests.worker.api.protocols.mutations import Mutator
from tests.worker.api.protocols.oip.test_damaged_bodies import GOOD
from tfleet.contract.address import Address

MODELS: Final = {model: f"s{number}" for number, model in enumerate({model: 0 for _, _, model in GOOD})}
_DOCUMENTED: Final = frozenset({200, 400, 413, 415})
_HEADER: Final = "Inference-Header-Content-Length"
_ENCODINGS: Final = ("gzip", "deflate")
_OK: Final = 200
_MOST_CPU_S: Final = 1.0
_MOST_GROWTH: Final = 24 * 2**20
"""50,000 bodies that each left 1 KB behind would exceed it."""


def send(worker: Address, runs: int, seed: int = 0) -> Counter[int]:
    """Send damaged requests on one connection; the statuses of their answers."""
    mutator, found, settled = Mutator(seed), Counter[int](), 0
    with contextlib.closing(http.client.HTTPConnection(worker.host, worker.port, timeout=60)) as connection:
        for run in range(runs):
            if run == runs // 5:
                settled = resident_bytes()  # all pools of memory are full
            path, body, headers = _damaged(mutator)
            began_s = time.process_time()
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            where = f"run {run} of seed {seed}: {headers} {body[:2000]!r} {content[:500]!r}"
            assert answer.status in _DOCUMENTED, where
            assert time.process_time() - began_s < _MOST_CPU_S, where
            if answer.status != _OK:
                said = json.loads(content)
                assert (said["error"], said["status"]) == (said["detail"], answer.status), where
            found[answer.status] += 1
    grown = resident_bytes() - settled
    assert grown < _MOST_GROWTH, f"the process grew by {grown >> 20} MiB"
    return found


def _damaged(mutator: Mutator) -> tuple[str, bytes, dict[str, str]]:
    body, length, model = GOOD[mutator.pick(len(GOOD))]
    other = GOOD[mutator.pick(len(GOOD))][0]
    if length is None and mutator.pick(2):
        body = mutator.damaged_json(body)
    elif mutator.pick(8):
        body = mutator.damaged(body, other)
    headers = {}
    if length is not None and mutator.pick(20):
        headers[_HEADER] = str(int(length) + mutator.pick(9) - 4) if mutator.pick(4) == 0 else length
    if mutator.pick(4) == 0:
        headers["Accept-Encoding"] = _ENCODINGS[mutator.pick(2)]
    if mutator.pick(3) == 0:
        encoding = _ENCODINGS[mutator.pick(2)]
        body = gzip.compress(body, mtime=0) if encoding == "gzip" else zlib.compress(body)
        headers["Content-Encoding"] = encoding if mutator.pick(20) else "br"
        if mutator.pick(2):
            body = mutator.damaged(body, other)
    return f"/v2/models/echo/infer?signature={MODELS[model]}", body, headers


def main(runs: int) -> None:
    # A line for each request would be most of the output.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with echoing_worker(MODELS) as worker:
        print(dict(send(worker, runs, seed=6)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
