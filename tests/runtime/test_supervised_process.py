from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable

import pytest

from tests.runtime.recorded_events import RecordedEvents
from tfleet.runtime.backoff import Backoff, RestartPolicy
from tfleet.runtime.child_process import ChildSpec, ExitStatus
from tfleet.runtime.supervised_process import SupervisedProcess

pytestmark = pytest.mark.process

QUICK = RestartPolicy(Backoff(first_s=0.001, cap_s=0.001))
PATIENT = RestartPolicy(Backoff(first_s=3600, cap_s=3600))
WAITS = "import signal; print('ready', flush=True); signal.pause()"
IGNORES = (
    "import signal; signal.signal(15, signal.SIG_IGN); print('ready', flush=True)\nwhile 1: signal.pause()"
)


async def test_a_child_that_dies_is_started_again(
    transcript: RecordedEvents, python: Callable[..., ChildSpec]
) -> None:
    process = SupervisedProcess(python("raise SystemExit(7)"), transcript, policy=QUICK)
    async with asyncio.TaskGroup() as group:
        run = group.create_task(process.run())
        await transcript.until("ended (exit code 7): restart in 0.0 s", times=3)
        await process.stop(timeout_s=10)
    assert run.result() is None
    assert process.starts >= 3
    assert repr(process) == f"<SupervisedProcess child ended, pid None, {process.starts} starts>"


async def test_the_wait_grows_while_it_dies_young(
    transcript: RecordedEvents, python: Callable[..., ChildSpec]
) -> None:
    uptimes_s = iter([1.0, 1.0, 1.0, 100.0, 1.0, 1.0])
    clock = iter([moment for uptime in uptimes_s for moment in (0.0, uptime)] + [0.0] * 1000)
    failures: list[int] = []

    class Recorded(RestartPolicy):
        def delay_s(self, failures_: int, rng: object) -> float:
            failures.append(failures_)
            return 0.001

    process = SupervisedProcess(
        python("raise SystemExit(1)"), transcript, policy=Recorded(), clock=lambda: next(clock)
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await transcript.until("ended", times=6)
        process.kill()
    assert failures[:6] == [1, 2, 3, 1, 2, 3]


async def test_exit_code_2_is_not_tried_again(
    transcript: RecordedEvents, python: Callable[..., ChildSpec]
) -> None:
    code = "import sys; print('tfleet worker: no model\\n\\n'); sys.exit(2)"
    process = SupervisedProcess(python(code), transcript, policy=QUICK)
    assert await process.run() == ExitStatus(2)
    assert process.starts == 1
    assert (process.failed, process.final_reason) == (True, "no model")
    assert len(transcript.lines) == 1, "that it started: its owner tells why it ended"


async def test_a_refusal_that_a_stop_interrupts_is_kept(
    transcript: RecordedEvents, python: Callable[..., ChildSpec]
) -> None:
    code = "import os, signal; os.write(1, b'here\\nError: no model\\n'); signal.pause()"
    process = SupervisedProcess(python(code), transcript)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await transcript.until("output: here")
        await process.stop(timeout_s=10)
    assert (process.failed, process.final_reason) == (False, "no model")
    assert not [line for line in transcript.lines if "no model" in line], "its owner tells"


async def test_stop_ends_it_with_sigterm(
    transcript: RecordedEvents, python: Callable[..., ChildSpec]
) -> None:
    process = SupervisedProcess(python(WAITS), transcript)
    assert repr(process) == "<SupervisedProcess child new, pid None, 0 starts>"
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await transcript.until("output: ready")
        assert repr(process) == f"<SupervisedProcess child running, pid {transcript.pids[0]}, 1 starts>"
        await process.stop(timeout_s=10)
    assert len(transcript.lines) == 2, "it was not killed"


async def test_stop_kills_a_process_that_ignores_sigterm(
    transcript: RecordedEvents, python: Callable[..., ChildSpec]
) -> None:
    process = SupervisedProcess(python(IGNORES), transcript)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await transcript.until("output: ready")
        await process.stop(timeout_s=0.05)
    assert transcript.lines[-1] == "overdue after 0.05 s"


async def test_kill_is_not_undone_by_a_stop_that_follows(
    transcript: RecordedEvents, python: Callable[..., ChildSpec]
) -> None:
    process = SupervisedProcess(python(IGNORES), transcript)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await asyncio.sleep(0)  # it is being started
        assert process.state == "starting"
        process.kill()
        await process.stop(timeout_s=10)
    assert not [line for line in transcript.lines if line.startswith("overdue")]


async def test_stop_does_not_wait_for_the_next_start(
    transcript: RecordedEvents, python: Callable[..., ChildSpec]
) -> None:
    process = SupervisedProcess(python("raise SystemExit(1)"), transcript, policy=PATIENT)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await transcript.until("ended")
        assert process.state == "waiting"
        await process.stop(timeout_s=10)
    assert process.starts == 1


async def test_a_process_stopped_before_its_start_is_not_started(
    transcript: RecordedEvents, python: Callable[..., ChildSpec]
) -> None:
    process = SupervisedProcess(python(WAITS), transcript)
    process.kill()
    assert await process.run() is None
    assert process.starts == 0


async def test_a_start_that_the_system_refuses_is_tried_again(transcript: RecordedEvents) -> None:
    too_long = "x" * 10_000_000  # E2BIG
    process = SupervisedProcess(ChildSpec("child", (sys.executable, too_long)), transcript, policy=QUICK)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await transcript.until("ended (None): restart in", times=2)
        await process.stop(timeout_s=10)
    assert "not started: Argument list too long" in transcript.lines


async def test_cancelling_leaves_no_process(
    transcript: RecordedEvents, python: Callable[..., ChildSpec], gone: Callable[[int], bool]
) -> None:
    process = SupervisedProcess(python(IGNORES), transcript)
    run = asyncio.ensure_future(process.run())
    await transcript.until("output: ready")
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert all(map(gone, transcript.pids))


async def test_nothing_is_started_again_after_stay_down(
    transcript: RecordedEvents, python: Callable[..., ChildSpec]
) -> None:
    process = SupervisedProcess(python(WAITS), transcript, policy=QUICK)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await transcript.until("output: ready")
        process.stay_down()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
    assert process.starts == 1


async def test_the_owner_may_decide_that_exit_code_2_is_tried_again(
    transcript: RecordedEvents, python: Callable[..., ChildSpec]
) -> None:
    process = SupervisedProcess(
        python("raise SystemExit(2)"), transcript, final=lambda _: False, policy=QUICK
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await transcript.until("ended (exit code 2)", times=2)
        await process.stop(timeout_s=10)
    assert not process.failed


async def test_a_second_stop_waits_and_sends_nothing(
    transcript: RecordedEvents, python: Callable[..., ChildSpec]
) -> None:
    drains = (
        "import signal, time\n"
        "asked = []\n"
        "signal.signal(15, lambda *_: asked.append(print('draining', flush=True)))\n"
        # No signal.pause(): the signal may come before it.
        "print('ready', flush=True)\nwhile not asked: time.sleep(0.01)\ntime.sleep(0.3)"
    )
    process = SupervisedProcess(python(drains), transcript)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await transcript.until("output: ready")
        group.create_task(process.stop(timeout_s=20))
        await transcript.until("output: draining")
        await process.stop(timeout_s=20)
        assert process.state == "ended"
    assert transcript.lines.count("output: draining") == 1
