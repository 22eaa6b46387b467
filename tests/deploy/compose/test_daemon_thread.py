from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from tfleet.deploy.compose.daemon_thread import in_daemon_thread


async def test_results_and_errors_return_without_blocking() -> None:
    go = threading.Event()
    call = asyncio.ensure_future(in_daemon_thread(lambda: go.wait(20) and threading.current_thread().name))
    await asyncio.sleep(0)
    assert not call.done()
    go.set()
    assert str(await call).startswith("blocking-")
    with pytest.raises(ZeroDivisionError):
        await in_daemon_thread(divmod, 1, 0)


async def test_a_cancelled_call_goes_on_in_its_thread() -> None:
    go, ended = threading.Event(), threading.Event()

    def call() -> None:
        go.wait(20)
        ended.set()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await in_daemon_thread(call)
    go.set()
    await asyncio.to_thread(ended.wait, 20)
    assert ended.is_set()


def test_a_program_ends_while_a_call_goes_on() -> None:
    code = (
        "import asyncio, threading\n"
        "from tfleet.deploy.compose.daemon_thread import in_daemon_thread\n"
        "async def main():\n"
        "    async with asyncio.timeout(0.05):\n"
        "        await in_daemon_thread(threading.Event().wait)\n"
        "try:\n"
        "    asyncio.run(main())\n"
        "except TimeoutError:\n"
        "    print('ended')\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=20, check=True
    )
    assert (run.stdout, run.stderr) == ("ended\n", "")
