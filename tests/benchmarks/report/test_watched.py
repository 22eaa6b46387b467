import sys
from pathlib import Path

import pytest

from benchmarks.report.watched import Watched, watched

_CHILD = "import time; held = b'x' * 60_000_000; time.sleep(1)"
_PARENT = (
    f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_CHILD!r}], check=True); print('done')"
)


def test_the_most_memory_of_a_time_counts_the_look_before_it() -> None:
    found = Watched("", 4.0, 0.0, [(0.0, 5), (1.0, 9), (2.0, 3), (3.0, 4)])
    assert found.most_bytes == 9
    assert (found.most_between(2.5, 4.0), found.most_between(1.5, 2.5)) == (4, 9)


@pytest.mark.process
def test_memory_of_children_counts(tmp_path: Path) -> None:
    found = watched([sys.executable, "-c", _PARENT], cwd=tmp_path)
    assert found.output == "done\n"
    assert found.most_bytes > 60_000_000
    assert found.cpu_s > 0


@pytest.mark.process
def test_a_program_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no such thing"):
        watched([sys.executable, "-c", "raise SystemExit('no such thing')"], cwd=tmp_path)
