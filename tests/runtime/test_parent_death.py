from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

from tfleet.runtime.parent_death import dying_with_parent


def test_parent_death_execs_the_program_in_its_process() -> None:
    code = "import os, sys; print(os.getpid(), sys.argv[1:], os.environ['WHO'])"
    command = dying_with_parent([sys.executable, "-c", code, "a b", ""])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"WHO": "me"}) as child:
        output, _ = child.communicate()
    assert output == f"{child.pid} ['a b', ''] me\n"
    assert child.returncode == 0


def test_a_program_that_cannot_be_run_is_one_line() -> None:
    done = subprocess.run(
        dying_with_parent(["/nowhere/at-all"]), stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.stderr == "cannot run /nowhere/at-all: No such file or directory\n"
    assert done.returncode == 126


def test_the_program_is_not_run_for_a_parent_that_is_gone() -> None:
    *launcher, pid, _program = dying_with_parent(["/nowhere/at-all"])
    assert pid == str(os.getpid())
    done = subprocess.run([*launcher, "1", "/nowhere/at-all"], stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_program_gets_sigterm_when_its_parent_is_killed(gone: Callable[[int], bool]) -> None:
    parent = (
        "import subprocess, sys, time\n"
        "from tfleet.runtime.parent_death import dying_with_parent\n"
        "code = 'import signal; print(1, flush=True); signal.pause()'\n"
        "child = subprocess.Popen(dying_with_parent([sys.executable, '-c', code]), stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    assert gone(pid)
