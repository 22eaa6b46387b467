import pytest

from tfleet.worker.inference.batch_sizes import batch_sizes, efficient_batch_sizes, request_threads


@pytest.mark.parametrize(
    ("most", "sizes"),
    [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (8, (1, 2, 4, 8)), (12, (1, 2, 4, 8, 12))],
)
def test_sizes_double_up_to_the_largest(most: int, sizes: tuple[int, ...]) -> None:
    assert batch_sizes(most) == sizes


@pytest.mark.parametrize(
    ("milliseconds", "sizes"),
    [
        ({1: 16, 2: 25, 4: 43, 8: 86}, (1, 2, 4)),  # eight take as long as twice four
        ({1: 16, 2: 25, 4: 43, 8: 86, 16: 150}, (1, 2, 4, 16)),
        ({1: 8.7, 2: 12, 4: 14, 8: 24}, (1, 2, 4, 8)),
        ({1: 10, 2: 20, 4: 40}, (1,)),
        ({1: 10, 2: 30, 4: 30}, (1, 4)),
        ({1: 10, 2: 19.5}, (1,)),  # not worth the wait for each other
        ({1: 10}, (1,)),
    ],
)
def test_a_batch_size_is_used_if_it_is_faster_per_image(
    milliseconds: dict[int, float], sizes: tuple[int, ...]
) -> None:
    assert efficient_batch_sizes({size: ms / 1000 for size, ms in milliseconds.items()}) == sizes


def test_threads_suffice_to_run_and_decode_batches() -> None:
    assert request_threads(concurrent_runs=2, largest=4) == 12
