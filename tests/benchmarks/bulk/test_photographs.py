from benchmarks.bulk.photographs import Load, PhotoFigures, PhotoRound
from benchmarks.bulk.photographs_text import photographs_text
from tests.benchmarks.bulk.figures import QUIET, scored


def test_a_run_is_compared_with_the_loads_before_and_after_it() -> None:
    ours = scored(60.0, 700, cpu_s=25.0)
    rounds = [PhotoRound(Load(50.0, 0.016), ours, Load(70.0, 0.020))]
    lines = photographs_text(PhotoFigures(1000, 55_000, 5.0, rounds, QUIET))
    assert "| images/s, against a worker's | at least 0.95 | 1.00 | met by 5.3% |" in lines
    assert (
        "| images for a second of CPU, against a worker's | at least 0.95 | 0.90 | **missed** by 5.3% |"
        in lines
    )
    assert lines[-2:] == ["| `tfleet score` | 60.0 | 20.0 |", "| a worker | 60.0 | 18.0 |"]
