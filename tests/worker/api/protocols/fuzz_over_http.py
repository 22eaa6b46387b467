"""Damaged bodies sent to a worker: each gets a documented status in bounded time, and nothing grows.

    python -m tests.worker.api.protocols.fuzz_over_http --runs 50000

The worker is the real server with the real application; its model answers with its inputs. A request with
another status, one that takes a second of CPU, or growth of the process ends the program with a line that
says how to repeat it. CPU time and memory are those of the whole process, with the client's own.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import http.client
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import structlog

from tests.support.fake_model import Arrays, FakeModel, FakePredictor, FakeSession
from tests.support.memory import resident_bytes
from tests.support.worker_http import serving
from tests.worker.api.protocols.fuzz import SEEDS, FailedRunError, Seed, damaged
from tests.worker.api.protocols.mutations import Mutator
from tfleet.contract.address import Address

_MODELS: Final = {seed.model: f"s{number}" for number, seed in enumerate(chain.from_iterable(SEEDS.values()))}
_ACCEPTED: Final = (
    "application/json",
    "text/csv",
    "application/vnd.apache.arrow.stream",
    "application/x-npz",
    "image/png",
)
_DOCUMENTED: Final = frozenset({200, 400, 406, 413})
_OK: Final = 200
_ERROR: Final = 400
_MOST_CPU_S: Final = 1.0
_MOST_GROWTH: Final = 24 * 2**20
"""50,000 bodies that each left 1 KB behind would exceed it."""
_SETTLED: Final = 5
"""After a fifth of the runs all pools of memory are full."""


@dataclass
class HttpFigures:
    """What a series of requests has led to."""

    statuses: Counter[int] = dataclasses.field(default_factory=Counter)
    longest_cpu_s: float = 0.0
    growth: int = 0


@contextlib.contextmanager
def echoing_worker() -> Iterator[Address]:
    """A worker with the signatures of all good bodies, which answers with its inputs."""

    def echo(_signature: str, inputs: Arrays) -> Arrays:
        return inputs

    model = FakeModel(default=None)
    signatures = {
        name: dataclasses.replace(signature, name=name, outputs=signature.inputs)
        for signature, name in _MODELS.items()
    }
    model.session = FakeSession(signatures, None)
    model.predictor = FakePredictor(echo, signatures, calls=_Forgetful())
    model.predictor.gate.set()
    with serving(model, name="echo") as (address, _):
        yield address


class _Forgetful(list[tuple[str, int | None, float]]):
    """A list that stays empty: the calls of many runs would be growth."""

    def append(self, _call: tuple[str, int | None, float]) -> None:
        """Nothing."""


def send(worker: Address, form: str, runs: int, seed: int = 0) -> HttpFigures:
    """Send damaged bodies of one form on one connection. Raises FailedRunError."""
    mutator = Mutator(seed)
    found, settled = HttpFigures(), 0
    connection = http.client.HTTPConnection(worker.host, worker.port, timeout=60)
    with contextlib.closing(connection):
        for run in range(runs):
            if run == runs // _SETTLED:
                settled = resident_bytes()
            good, body = damaged(form, mutator)
            began_s = time.process_time()
            status = _answered(connection, good, body, _ACCEPTED[mutator.pick(len(_ACCEPTED))])
            took_s = time.process_time() - began_s
            found.statuses[status] += 1
            found.longest_cpu_s = max(found.longest_cpu_s, took_s)
            if status not in _DOCUMENTED or took_s > _MOST_CPU_S:
                raise FailedRunError(
                    f"--form {form} --seed {seed}, run {run}: status {status}, {took_s:.1f} s of CPU\n"
                    f"{good.media_type} {body[:4000]!r}"
                )
    found.growth = resident_bytes() - settled
    if found.growth > _MOST_GROWTH:
        raise FailedRunError(f"--form {form} --seed {seed}: the process grew by {found.growth >> 20} MiB")
    return found


def _answered(connection: http.client.HTTPConnection, good: Seed, body: bytes, accept: str) -> int:
    headers = {"Content-Type": good.media_type, "Accept": accept}
    connection.request("POST", f"/predict?signature={_MODELS[good.model]}", body, headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= _ERROR:
        problem = json.loads(content)
        if (problem["status"], problem["success"]) != (answer.status, False):
            raise FailedRunError(f"status {answer.status} has the problem {problem}: {body[:4000]!r}")
    return answer.status


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description="Send damaged bodies to a worker.")
    parser.add_argument("--runs", type=int, default=50_000, help="bodies of each form")
    parser.add_argument("--form", choices=[*SEEDS, "all"], default="all")
    parser.add_argument("--seed", type=int, default=0, help="which damages")
    asked = parser.parse_args(argv)
    # A line for each request would be most of the output.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with echoing_worker() as worker:
        for form in SEEDS if asked.form == "all" else [asked.form]:
            began_s = time.perf_counter()
            try:
                found = send(worker, form, asked.runs, asked.seed)
            except FailedRunError as error:
                print(error, file=sys.stderr)
                return 1
            counts = ", ".join(f"{status}: {number}" for status, number in sorted(found.statuses.items()))
            print(
                f"{form}: {asked.runs} bodies in {time.perf_counter() - began_s:.1f} s ({counts}), at most "
                f"{found.longest_cpu_s * 1000:.0f} ms of CPU, {found.growth / 2**20:+.1f} MiB"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
