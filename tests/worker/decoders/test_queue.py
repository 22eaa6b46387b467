import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.worker.decoders.limits import PoolLimits
from tfleet.worker.decoders.queue import JobQueue, QueuedJob

LIMITS = PoolLimits(processes=2, max_waiting=2, memory_bytes=100)


def entered(*memory_bytes: int) -> JobQueue:
    """Those who came, with the numbers 1, 2 and so on."""
    line = JobQueue(LIMITS)
    for number, size in enumerate(memory_bytes, 1):
        entered = line.enter(QueuedJob(number, size))
        assert entered is not None
        line = entered
    return line


def numbers(places: tuple[QueuedJob, ...]) -> list[int]:
    return [place.number for place in places]


@pytest.mark.parametrize(
    ("memory_bytes", "running", "waiting"),
    [
        ([], [], []),
        ([1], [1], []),
        ([1, 1], [1, 2], []),
        ([1, 1, 1], [1, 2], [3]),
        ([50, 50], [1, 2], []),
        ([50, 51], [1], [2]),
        ([500], [1], []),  # alone it always may
        ([500, 1], [1], [2]),
        ([60, 60, 1], [1], [2, 3]),  # there would be room for the third, but nobody overtakes
    ],
)
def test_the_limits_decide_what_runs_and_waits(
    memory_bytes: list[int], running: list[int], waiting: list[int]
) -> None:
    line = entered(*memory_bytes)
    assert (numbers(line.running), numbers(line.waiting)) == (running, waiting)


def test_a_job_beyond_the_limit_is_refused() -> None:
    line = entered(1, 1, 1, 1)
    assert line.enter(QueuedJob(5, 1)) is None
    assert numbers(line.waiting) == [3, 4]


def test_with_a_limit_of_0_no_job_waits() -> None:
    line = JobQueue(PoolLimits(processes=1, max_waiting=0)).enter(QueuedJob(1, 1))
    assert line is not None
    assert line.enter(QueuedJob(2, 1)) is None


def test_a_job_with_too_long_an_estimated_wait_is_refused() -> None:
    limits = PoolLimits(processes=1, max_waiting=9, max_ahead_s=4)
    line = JobQueue(limits).enter(QueuedJob(1, 1, cpu_s=60))
    assert line is not None, "alone it always may"
    assert line.enter(QueuedJob(2, 1, cpu_s=0.1)) is None
    line = JobQueue(limits).enter(QueuedJob(1, 1, cpu_s=3))
    assert line is not None
    line = line.enter(QueuedJob(2, 1, cpu_s=3))
    assert line is not None, "only what is ahead counts"
    assert line.enter(QueuedJob(3, 1, cpu_s=0.1)) is None


@pytest.mark.parametrize(
    ("leaves", "running", "waiting"),
    [
        (QueuedJob(1, 60), [2, 3], [4]),  # whose turn it is runs
        (QueuedJob(2, 60), [1, 3], [4]),  # who gives up in the line makes way, too
        (QueuedJob(3, 1), [1], [2, 4]),
        (QueuedJob(9, 1), [1], [2, 3, 4]),
    ],
)
def test_a_cancelled_job_frees_its_place(leaves: QueuedJob, running: list[int], waiting: list[int]) -> None:
    limits = PoolLimits(processes=2, max_waiting=3, memory_bytes=100)
    line = JobQueue(limits, (QueuedJob(1, 60),), (QueuedJob(2, 60), QueuedJob(3, 1), QueuedJob(4, 1))).leave(
        leaves
    )
    assert (numbers(line.running), numbers(line.waiting)) == (running, waiting)


@given(st.lists(st.one_of(st.integers(0, 150), st.integers(-5, -1))))
def test_the_rules_hold_whatever_comes_and_goes(steps: list[int]) -> None:
    """A number of 0 or more comes, with so much memory; one below 0 leaves, of those who are there."""
    line, count, began = JobQueue(LIMITS), 0, []
    for step in steps:
        everybody = [*line.running, *line.waiting]
        if step >= 0:
            count += 1
            line = line.enter(QueuedJob(count, step)) or line
        elif everybody:
            line = line.leave(everybody[step % len(everybody)])
        began += [place.number for place in line.running if place.number not in began]
        assert len(line.running) <= LIMITS.processes
        assert len(line.waiting) <= LIMITS.max_waiting
        assert len(line.running) <= 1 or sum(place.memory_bytes for place in line.running) <= 100
        assert line.running or not line.waiting
    assert began == sorted(began)
