"""Each case in a process of its own: a limit that was lowered can't be raised again."""

import subprocess
import sys

import pytest

from tests.support.environment import users_environment

PROGRAM = """
import resource
from tfleet.runtime.open_files import open_files_warning
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(open_files_warning(100))
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "said", "after"),
    [
        (300, 300, "None", 300),
        (100, 1000, "None", 264),
        (100, 200, "--max-connections 100 can take 264 open files and the limit is 200: raise it", 200),
    ],
    ids=["enough", "enough when raised", "too few"],
)
def test_the_limit_is_raised_as_far_as_needed(soft: int, hard: int, said: str, after: int) -> None:
    program = PROGRAM.format(soft=soft, hard=hard)
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=users_environment(), check=True
    )
    line, limit = run.stdout.splitlines()
    assert line.startswith(said)
    assert int(limit) == after


LOWERED = """
import resource
from tfleet.runtime.open_files import raise_open_files_limit
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(raise_open_files_limit(200), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "allowed", "after"),
    [(300, 300, 200, 300), (100, 300, 200, 200), (100, 150, 150, 150)],
    ids=["enough", "enough when raised", "too few"],
)
def test_the_limit_is_raised_as_far_as_it_may(soft: int, hard: int, allowed: int, after: int) -> None:
    program = LOWERED.format(soft=soft, hard=hard)
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=users_environment(), check=True
    )
    assert run.stdout.split() == [str(allowed), str(after)]
