from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest

from tests.deploy.recorded_terminal import RecordedTerminal
from tests.support.free_ports import free_port
from tfleet.contract.address import Address
from tfleet.deploy.local.supervisor import Stage, Supervisor
from tfleet.deploy.local.terminal import Console, ProcessMessages
from tfleet.runtime.child_process import ChildSpec
from tfleet.runtime.supervised_process import SupervisedProcess

pytestmark = pytest.mark.process

DRAINS = """
import signal, sys
def end(number, frame):
    print('drained', flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print('ready', flush=True)
signal.pause()
"""
IGNORES = (
    "import signal; signal.signal(15, signal.SIG_IGN); print('ready', flush=True)\nwhile 1: signal.pause()"
)


async def test_stages_stop_in_reverse_one_after_the_other(
    console: Console, recorded: RecordedTerminal, python: Callable[..., ChildSpec]
) -> None:
    def stage(*names: str) -> Stage:
        return Stage(tuple(supervised(python(DRAINS, name), console) for name in names))

    supervisor = Supervisor([stage("registry"), stage("proxy"), stage("w1", "w2")], stop_timeout_s=10)
    assert repr(supervisor) == "<Supervisor of 4 new>"
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await recorded.until("| ready", times=4)
        assert repr(supervisor) == "<Supervisor of 4 running>"
        supervisor.stop()
    drained = re.findall(r"(\w+) +\| drained", recorded.getvalue())
    assert sorted(drained[:2]) == ["w1", "w2"]
    assert drained[2:] == ["proxy", "registry"]
    assert (supervisor.failed, supervisor.killed) == (None, False)


async def test_a_process_that_cannot_run_ends_the_others(
    console: Console, recorded: RecordedTerminal, python: Callable[..., ChildSpec]
) -> None:
    good = supervised(python(DRAINS, "good"), console)
    bad = supervised(python("import sys; print('no model'); sys.exit(2)", "bad"), console)
    supervisor = Supervisor([Stage((good,)), Stage((bad,))], stop_timeout_s=10)
    await supervisor.run()
    assert supervisor.failed is bad
    assert repr(supervisor) == "<Supervisor of 2 ended>"


async def test_a_second_stop_kills_all_at_once(
    console: Console,
    recorded: RecordedTerminal,
    python: Callable[..., ChildSpec],
    gone: Callable[[int], bool],
) -> None:
    processes = tuple(supervised(python(IGNORES, f"deaf-{n}"), console) for n in range(2))
    supervisor = Supervisor([Stage(processes[:1]), Stage(processes[1:])], stop_timeout_s=3600)
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await recorded.until("| ready", times=2)
        supervisor.stop()
        supervisor.stop()
    assert supervisor.killed
    assert all(map(gone, recorded.pids()))


async def test_the_next_stage_starts_when_something_listens(
    console: Console, recorded: RecordedTerminal, python: Callable[..., ChildSpec]
) -> None:
    port = free_port()
    listens = (
        "import signal, socket, sys\n"
        "signal.signal(15, lambda *_: sys.exit())\n"
        f"with socket.create_server(('127.0.0.1', {port})) as s:\n"
        "    s.accept()\n"
        "    print('somebody came', flush=True)\n"
        "    signal.pause()\n"
    )
    first = Stage((supervised(python(listens, "first"), console),), Address("127.0.0.1", port))
    second = Stage((supervised(python(DRAINS, "second"), console),))
    supervisor = Supervisor([first, second], stop_timeout_s=10)
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await recorded.until("second | ready")
        supervisor.stop()
    assert recorded.getvalue().index("first started") < recorded.getvalue().index("second started")


async def test_a_stop_while_waiting_starts_nothing_more(
    console: Console, recorded: RecordedTerminal, python: Callable[..., ChildSpec]
) -> None:
    port = free_port()
    first = Stage((supervised(python(DRAINS, "first"), console),), Address("127.0.0.1", port))
    second = Stage((supervised(python(DRAINS, "second"), console),))
    supervisor = Supervisor([first, second], stop_timeout_s=10)
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await recorded.until("first | ready")
        supervisor.stop()
    assert "second" not in recorded.getvalue()


def supervised(spec: ChildSpec, console: Console) -> SupervisedProcess:
    return SupervisedProcess(spec, ProcessMessages(spec.name, console))


async def test_a_stage_may_start_and_end_processes_itself(
    console: Console, recorded: RecordedTerminal, python: Callable[..., ChildSpec]
) -> None:
    processes: list[SupervisedProcess] = []

    async def keep(stop_asked: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            for name in ("old", "new"):
                processes.append(supervised(python(DRAINS, name), console))
                group.create_task(processes[-1].run())
                await recorded.until(f"{name} | ready")
            await processes.pop(0).stop(10)
            await stop_asked.wait()

    supervisor = Supervisor([Stage(processes, keep=keep)], stop_timeout_s=10)
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await recorded.until("old | drained")
        assert "new | drained" not in recorded.getvalue()
        supervisor.stop()
    assert recorded.getvalue().count("| drained") == 2
