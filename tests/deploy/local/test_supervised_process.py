from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable

import pytest

from tests.deploy.tape import Tape
from tfleet.deploy.local.child_process import Ending, Spec
from tfleet.deploy.local.supervised_process import Process
from tfleet.deploy.local.terminal import Console
from tfleet.runtime.backoff import Backoff, RestartPolicy

QUICK = RestartPolicy(Backoff(first_s=0.001, cap_s=0.001))
PATIENT = RestartPolicy(Backoff(first_s=3600, cap_s=3600))
WAITS = "import signal; print('ready', flush=True); signal.pause()"
IGNORES = (
    "import signal; signal.signal(15, signal.SIG_IGN); print('ready', flush=True)\nwhile 1: signal.pause()"
)


async def test_a_child_that_dies_is_started_again_and_each_time_said_in_a_line(
    console: Console, tape: Tape, python: Callable[..., Spec]
) -> None:
    process = Process(python("raise SystemExit(7)"), console, policy=QUICK)
    async with asyncio.TaskGroup() as group:
        run = group.create_task(process.run())
        await tape.until("child ended (exit code 7): starting it again in 0.0 s", times=3)
        await process.stop(timeout_s=10)
    assert run.result() is None
    assert process.starts >= 3
    assert repr(process) == f"<Process child ended, pid None, {process.starts} starts>"


async def test_the_wait_grows_while_it_dies_young_and_starts_over_after_a_healthy_life(
    console: Console, tape: Tape, python: Callable[..., Spec]
) -> None:
    uptimes_s = iter([1.0, 1.0, 1.0, 100.0, 1.0, 1.0])
    clock = iter([moment for uptime in uptimes_s for moment in (0.0, uptime)] + [0.0] * 1000)
    failures: list[int] = []

    class Recorded(RestartPolicy):
        def delay_s(self, failures_: int, rng: object) -> float:
            failures.append(failures_)
            return 0.001

    process = Process(python("raise SystemExit(1)"), console, policy=Recorded(), clock=lambda: next(clock))
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await tape.until("starting it again", times=6)
        process.kill()
    assert failures[:6] == [1, 2, 3, 1, 2, 3]


async def test_a_refusal_can_not_move_the_cursor(console: Console, python: Callable[..., Spec]) -> None:
    code = "import sys; print('tfleet worker: no model a\\x1b[2Jb'); sys.exit(2)"
    process = Process(python(code), console, policy=QUICK)
    await process.run()
    assert process.refusal == "no model a\\x1b[2Jb"


async def test_exit_code_2_is_not_tried_again(
    console: Console, tape: Tape, python: Callable[..., Spec]
) -> None:
    code = "import sys; print('tfleet worker: no model\\n\\n'); sys.exit(2)"
    process = Process(python(code), console, policy=QUICK)
    assert await process.run() == Ending(2)
    assert process.starts == 1
    assert (process.hopeless, process.refusal) == (True, "no model")
    assert "no model" not in tape.getvalue(), "whoever started it tells"
    assert "again" not in tape.getvalue()


async def test_a_refusal_that_a_stop_interrupts_is_kept(
    console: Console, tape: Tape, python: Callable[..., Spec]
) -> None:
    code = "import os, signal; os.write(1, b'here\\nError: no model\\n'); signal.pause()"
    process = Process(python(code), console)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await tape.until("child | here")
        await process.stop(timeout_s=10)
    assert (process.hopeless, process.refusal) == (False, "no model")
    assert "no model" not in tape.getvalue(), "whoever started it tells"


async def test_stop_ends_it_with_sigterm(console: Console, tape: Tape, python: Callable[..., Spec]) -> None:
    process = Process(python(WAITS), console)
    assert repr(process) == "<Process child new, pid None, 0 starts>"
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await tape.until("child | ready")
        assert repr(process) == f"<Process child running, pid {tape.pids()[0]}, 1 starts>"
        await process.stop(timeout_s=10)
    assert "killed" not in tape.getvalue()


async def test_stop_kills_one_that_ignores_sigterm_and_says_so(
    console: Console, tape: Tape, python: Callable[..., Spec]
) -> None:
    process = Process(python(IGNORES), console)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await tape.until("child | ready")
        await process.stop(timeout_s=0.05)
    assert "child did not end within 0.05 s of SIGTERM: killed\n" in tape.getvalue()


async def test_kill_is_not_undone_by_a_stop_that_follows(
    console: Console, tape: Tape, python: Callable[..., Spec]
) -> None:
    process = Process(python(IGNORES), console)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await asyncio.sleep(0)  # it is being started
        assert process.state == "starting"
        process.kill()
        await process.stop(timeout_s=10)
    assert "did not end" not in tape.getvalue()


async def test_stop_does_not_wait_for_the_next_start(
    console: Console, tape: Tape, python: Callable[..., Spec]
) -> None:
    process = Process(python("raise SystemExit(1)"), console, policy=PATIENT)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await tape.until("starting it again")
        assert process.state == "waiting"
        await process.stop(timeout_s=10)
    assert process.starts == 1


async def test_one_that_was_stopped_before_its_start_is_not_started(
    console: Console, tape: Tape, python: Callable[..., Spec]
) -> None:
    process = Process(python(WAITS), console)
    process.kill()
    assert await process.run() is None
    assert process.starts == 0


async def test_a_start_that_the_system_refuses_is_tried_again(console: Console, tape: Tape) -> None:
    too_long = "x" * 10_000_000  # E2BIG
    process = Process(Spec("child", (sys.executable, too_long)), console, policy=QUICK)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await tape.until("child did not start: starting it again", times=2)
        await process.stop(timeout_s=10)
    assert re.search(r"child could not be started: .*Argument list too long", tape.getvalue())


async def test_cancelled_it_leaves_nothing(
    console: Console, tape: Tape, python: Callable[..., Spec], gone: Callable[[int], bool]
) -> None:
    process = Process(python(IGNORES), console)
    run = asyncio.ensure_future(process.run())
    await tape.until("child | ready")
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert all(map(gone, tape.pids()))
