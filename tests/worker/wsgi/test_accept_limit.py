import subprocess
import sys

import pytest
from structlog.testing import capture_logs

from tests.support.environment import users_environment
from tfleet.worker.wsgi.accept_limit import PAUSE_S, Door

NO_FILES = OSError(24, "Too many open files")


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_it_is_open_to_so_many() -> None:
    door = Door(2, Clock())
    assert door.open(1)
    assert not door.open(2)
    assert door.open(1)


def test_it_is_shut_for_a_moment_when_the_system_has_nothing_left() -> None:
    clock = Clock()
    door = Door(2, clock)
    door.shut(NO_FILES)
    assert not door.open(0)
    assert door.patience_s(1.0) == pytest.approx(PAUSE_S)
    clock.now_s += PAUSE_S
    assert door.open(0)
    assert door.patience_s(1.0) == 1.0


def test_it_says_so_once_a_minute() -> None:
    clock = Clock()
    with capture_logs() as lines:
        door = Door(2, clock)
        for _ in range(100):
            door.shut(NO_FILES)
            door.open(2)
        assert len(lines) == 1
        clock.now_s += 60
        door.open(2)
    assert [line["event"] for line in lines] == [
        "new connections wait: Too many open files; see ulimit -n or LimitNOFILE=",
        "all 2 connections are in use; new ones wait",
    ]


PROGRAM = """
import resource
from tfleet.worker.wsgi.accept_limit import most_connections
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print("most", most_connections())
"""


@pytest.mark.parametrize(
    ("soft", "hard", "most", "warned"),
    [(1024, 4096, 2000, False), (1024, 1024, 768, True), (100, 100, 16, True)],
    ids=["enough when raised", "too few", "hardly any"],
)
def test_connections_leave_open_files_for_the_rest(soft: int, hard: int, most: int, warned: bool) -> None:
    """In a process of its own: a limit that was lowered can't be raised again."""
    program = PROGRAM.format(soft=soft, hard=hard)
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=users_environment(), check=True
    )
    assert run.stdout.splitlines()[-1] == f"most {most}"
    assert (f"no more than {most} connections" in run.stdout) == warned
