import itertools
from collections.abc import Iterator

import pytest

from benchmarks.worker.batches import per_second


class _Machine:
    """Takes the same time for each batch, on a clock of its own."""

    def __init__(self, batch_s: float) -> None:
        self.now_s = 100.0
        self.batches = 0
        self._batch_s = batch_s

    def caller(self, images: int) -> Iterator[int]:
        for _ in itertools.count():
            self.now_s += self._batch_s
            self.batches += 1
            yield images

    def clock(self) -> float:
        return self.now_s


def test_batches_are_run_for_as_long_as_is_asked() -> None:
    machine = _Machine(batch_s=0.1)
    assert per_second([machine.caller(16)], 2.0, machine.clock) == pytest.approx(160)
    assert machine.batches in {20, 21}  # of tenths of a second


def test_slow_batches_are_run_until_they_make_a_rate() -> None:
    machine = _Machine(batch_s=1.8)
    assert per_second([machine.caller(16)], 1.0, machine.clock) == pytest.approx(16 / 1.8)
    assert machine.batches >= 6


def test_callers_run_side_by_side() -> None:
    machines = [_Machine(batch_s=0.1), _Machine(batch_s=0.1)]
    callers = [machine.caller(4) for machine in machines]
    per_second(callers, 1.0, lambda: min(machine.now_s for machine in machines))
    assert all(machine.batches > 1 for machine in machines)
