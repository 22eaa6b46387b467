from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable

from tests.deploy.tape import Tape
from tfleet.deploy.local.terminal import Console, ProcessMessages
from tfleet.runtime.backoff import Backoff, RestartPolicy
from tfleet.runtime.child_process import ChildSpec
from tfleet.runtime.supervised_process import SupervisedProcess

QUICK = RestartPolicy(Backoff(first_s=0.001, cap_s=0.001))
IGNORES = (
    "import signal; signal.signal(15, signal.SIG_IGN); print('ready', flush=True)\nwhile 1: signal.pause()"
)


def supervised(spec: ChildSpec, console: Console) -> SupervisedProcess:
    return SupervisedProcess(spec, ProcessMessages(spec.name, console), policy=QUICK)


async def test_each_restart_is_a_line(console: Console, tape: Tape, python: Callable[..., ChildSpec]) -> None:
    process = supervised(python("print('here'); raise SystemExit(7)"), console)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await tape.until("child ended (exit code 7): starting it again in 0.0 s", times=3)
        await process.stop(timeout_s=10)
    assert "child | here\n" in tape.getvalue()
    assert f"child started (process {tape.pids()[0]})\n" in tape.getvalue()


async def test_a_child_that_ignores_sigterm_is_a_line(
    console: Console, tape: Tape, python: Callable[..., ChildSpec]
) -> None:
    process = supervised(python(IGNORES), console)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await tape.until("child | ready")
        await process.stop(timeout_s=0.05)
    assert "child did not end within 0.05 s of SIGTERM: killed\n" in tape.getvalue()


async def test_a_start_that_fails_is_a_line(console: Console, tape: Tape) -> None:
    process = supervised(ChildSpec("child", (sys.executable, "x" * 10_000_000)), console)  # E2BIG
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await tape.until("child did not start: starting it again", times=2)
        await process.stop(timeout_s=10)
    assert re.search(r"child could not be started: .*Argument list too long", tape.getvalue())
