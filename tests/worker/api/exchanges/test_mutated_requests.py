"""Damaged requests to workers and through a proxy; `mutated_requests.py` sends far more."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections import Counter

import pytest

from tests.worker.api.exchanges.mutated_requests import documented

pytestmark = pytest.mark.process

REQUESTS = 4_000
WAY = re.compile(r"^(worker|proxy): (.*); (\d+) good ones;", re.MULTILINE)


def test_damaged_requests_get_documented_statuses() -> None:
    # In CI each run sends the same ones, so that a change is judged by what it changes.
    seed = 15 if os.environ.get("CI") == "true" else random.randrange(10**6)
    program = "tests.worker.api.exchanges.mutated_requests"
    command = [sys.executable, "-W", "error", "-m", program, "--requests", str(REQUESTS), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stderr[-5000:]
    assert f"--seed {seed}: {REQUESTS} requests" in done.stdout
    ways = WAY.findall(done.stdout)
    assert [name for name, _, _ in ways] == ["worker", "proxy"]
    for _, counts, good in ways:
        found = Counter({int(status): int(number) for status, number in re.findall(r"(\d+): (\d+)", counts)})
        assert found.total() == REQUESTS / 2
        assert found[200] > REQUESTS / 50, "some damages do no harm"
        assert found[400] > REQUESTS / 5
        assert found[413]
        assert int(good) == REQUESTS / 2 / 50


def test_the_page_has_the_statuses_that_may_come() -> None:
    assert {200, 400, 404, 405, 413, 415, 429} <= documented()
    assert not documented() & {409, 422, 499, 500, 502, 503, 504}
