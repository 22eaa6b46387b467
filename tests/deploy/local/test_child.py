from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable

import pytest

from tfleet.deploy.local.child_process import Child, Ending, Spec


async def test_all_that_it_writes_is_relayed_in_order(python: Callable[..., Spec]) -> None:
    lines: list[str] = []
    code = "import os\nfor n in range(200): os.write(1 + n % 2, b'%d\\n' % n)\nos.write(2, b'end')"
    child = await Child.start(python(code), lines.append)
    assert await child.end() == Ending(0)
    assert lines == [*map(str, range(200)), "end"]


async def test_it_has_a_session_of_its_own_and_no_input(python: Callable[..., Spec]) -> None:
    lines: list[str] = []
    code = "import os, sys; print(os.getsid(0) == os.getpid(), repr(sys.stdin.read()))"
    child = await Child.start(python(code), lines.append)
    await child.end()
    assert lines == ["True ''"]


async def test_its_environment_is_the_one_it_is_given() -> None:
    lines: list[str] = []
    code = "import os; print(os.environ['WHO'], 'HOME' in os.environ)"
    child = await Child.start(Spec("child", (sys.executable, "-c", code), {"WHO": "me"}), lines.append)
    await child.end()
    assert lines == ["me False"]


async def test_a_signal_is_how_it_ended(python: Callable[..., Spec]) -> None:
    ready = asyncio.Event()
    child = await Child.start(
        python("import signal; print(flush=True); signal.pause()"), lambda _: ready.set()
    )
    async with asyncio.TaskGroup() as group:
        end = group.create_task(child.end())
        await ready.wait()
        child.send(signal.SIGTERM)
    assert str(end.result()) == "SIGTERM"
    child.send(signal.SIGTERM)  # too late, and no error


async def test_sigkill_takes_what_it_started_along(
    python: Callable[..., Spec], gone: Callable[[int], bool]
) -> None:
    lines: asyncio.Queue[str] = asyncio.Queue()
    code = (
        "import signal, subprocess, sys\n"
        "grandchild = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "print(grandchild.pid, flush=True)\n"
        "signal.pause()\n"
    )
    child = await Child.start(python(code), lines.put_nowait)
    async with asyncio.TaskGroup() as group:
        group.create_task(child.end())
        grandchild = int(await lines.get())
        child.send(signal.SIGKILL)
    assert gone(grandchild)


async def test_cancelled_it_leaves_nothing(python: Callable[..., Spec]) -> None:
    ready = asyncio.Event()
    code = "import signal; signal.signal(15, signal.SIG_IGN); print(flush=True); signal.pause()"
    child = await Child.start(python(code), lambda _: ready.set())
    async with asyncio.TaskGroup() as group:
        end = group.create_task(child.end())
        await ready.wait()
        end.cancel()
    assert end.cancelled()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)
