import pytest

from tfleet.worker.decoders import PoolLimits


@pytest.mark.parametrize(
    ("cpus", "processes", "max_waiting"), [(1, 1, 2), (2, 1, 2), (3, 1, 2), (4, 2, 4), (8, 4, 8), (64, 4, 8)]
)
def test_half_of_the_cpus_may_decode(cpus: int, processes: int, max_waiting: int) -> None:
    limits = PoolLimits.for_cpus(cpus)
    assert (limits.processes, limits.max_waiting) == (processes, max_waiting)
