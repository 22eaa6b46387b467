from __future__ import annotations

import asyncio
import io
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.deploy.recorded_terminal import RecordedTerminal
from tfleet.deploy.local.terminal import Console, ProcessMessages, Progress
from tfleet.runtime.backoff import Backoff, RestartPolicy
from tfleet.runtime.child_process import ChildSpec
from tfleet.runtime.supervised_process import SupervisedProcess


def test_each_line_names_its_process_in_one_column() -> None:
    out, err = io.StringIO(), io.StringIO()
    console = Console(out, err, width=8)
    console.say("hello")
    console.relay("worker-1", "ready")
    console.show("curl localhost")
    assert err.getvalue() == "up       | hello\nworker-1 | ready\n"
    assert out.getvalue() == "curl localhost\n"


def test_quoted_output_cannot_move_the_cursor() -> None:
    err = io.StringIO()
    Console(io.StringIO(), err).relay("w", "a\x1b[2J\rb\tc\u202ed\x9b")
    assert err.getvalue() == "w  | a\\x1b[2J\\rb\tc\\u202ed\\x9b\n"


def test_a_reader_that_is_gone_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    Console(stream, stream).say("nobody hears this")
    os.close(writing)
    with suppress(OSError):  # what was left in the buffer, on a descriptor that is closed
        stream.close()


def test_a_change_is_reported_once_and_at_once() -> None:
    progress = Progress(wanted=2)
    assert [progress.news(ready, 1.0) for ready in (0, 1, 1, 2, 2)] == [
        False,
        True,
        False,
        True,
        False,
    ]
    assert progress.complete


def test_without_a_change_reports_become_rarer() -> None:
    progress = Progress(wanted=1)
    assert [second for second in range(100) if progress.news(0, float(second))] == [
        5,
        10,
        20,
        40,
        80,
    ]
    assert not progress.complete


def test_a_jump_of_the_clock_is_reported_once() -> None:
    progress = Progress(wanted=1)
    assert progress.news(0, 1000.0)
    assert not progress.news(0, 1001.0)


@pytest.mark.parametrize(("elapsed_s", "pause_s"), [(0.0, 0.25), (2.5, 0.25), (100.0, 10.0)])
def test_polls_become_rarer(elapsed_s: float, pause_s: float) -> None:
    assert Progress.pause_s(elapsed_s) == pause_s


QUICK = RestartPolicy(Backoff(first_s=0.001, cap_s=0.001))
IGNORES = (
    "import signal; signal.signal(15, signal.SIG_IGN); print('ready', flush=True)\nwhile 1: signal.pause()"
)


def supervised(spec: ChildSpec, console: Console) -> SupervisedProcess:
    return SupervisedProcess(spec, ProcessMessages(spec.name, console), policy=QUICK)


async def test_each_restart_is_a_line(
    console: Console, recorded: RecordedTerminal, python: Callable[..., ChildSpec]
) -> None:
    process = supervised(python("print('here'); raise SystemExit(7)"), console)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await recorded.until("child ended (exit code 7): starting it again in 0.0 s", times=3)
        await process.stop(timeout_s=10)
    assert "child | here\n" in recorded.getvalue()
    assert f"child started (process {recorded.pids()[0]})\n" in recorded.getvalue()


async def test_a_child_that_ignores_sigterm_is_a_line(
    console: Console, recorded: RecordedTerminal, python: Callable[..., ChildSpec]
) -> None:
    process = supervised(python(IGNORES), console)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await recorded.until("child | ready")
        await process.stop(timeout_s=0.05)
    assert "child did not end within 0.05 s of SIGTERM: killed\n" in recorded.getvalue()


async def test_a_start_that_fails_is_a_line(console: Console, recorded: RecordedTerminal) -> None:
    process = supervised(ChildSpec("child", (sys.executable, "x" * 10_000_000)), console)  # E2BIG
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await recorded.until("child did not start: starting it again", times=2)
        await process.stop(timeout_s=10)
    assert re.search(r"child could not be started: .*Argument list too long", recorded.getvalue())
