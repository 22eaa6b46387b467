"""A worker is started plainly where it can't be forked. tests/fleet/test_preload.py has workers that are."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.runtime.recorded_events import RecordedEvents
from tests.support.waiting import eventually
from tfleet.deploy.local.preload.fork_server import REFUSED, SERVER, ForkServer
from tfleet.runtime.child_process import ChildProcess, ChildSpec, ExitStatus, OutputPipe
from tfleet.runtime.supervised_process import SupervisedProcess

pytestmark = pytest.mark.process

PROGRAM = (sys.executable, "-c", "import sys; print('plain', *sys.argv[1:])")
_READY = "import socket\nours = socket.socket(fileno=0)\nours.send(b'[0, \"\"]')\n"
_DIES = _READY + "ours.recv(65536)\n"
_SILENT = _READY + "ours.recv(65536)\nours.recv(65536)\nraise SystemExit(1)"
_FULL = _READY + "ours.recv(65536)\nours.send(b'[0, \"no room\"]')\nours.recv(1)\n"
_REFUSES = "import socket\nsocket.socket(fileno=0).send(b'[0, \"it may not\"]')"


@contextlib.asynccontextmanager
async def _running(
    program: str, *, answer_s: float = 20.0
) -> AsyncIterator[tuple[ForkServer, SupervisedProcess, list[str]]]:
    """A fork server that is another program; what it says."""
    said: list[str] = []
    server = ForkServer(
        PROGRAM, os.environ, said.append, server=(sys.executable, "-c", program), answer_s=answer_s
    )
    async with _kept(server) as process:
        yield server, process, said


@contextlib.asynccontextmanager
async def _kept(server: ForkServer) -> AsyncIterator[SupervisedProcess]:
    events = RecordedEvents()
    process = SupervisedProcess(
        server.spec,
        events,
        channel=lambda: server.channel(events.output),
        final=lambda status: status.returncode == REFUSED,
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(process.run())
        try:
            yield process
        finally:
            process.kill()
            await running


async def _started(server: ForkServer, *arguments: str) -> tuple[list[str], ExitStatus]:
    """What a child writes, and how it ends."""
    lines: list[str] = []
    spec = ChildSpec("worker-1", (*PROGRAM, *arguments), os.environ)
    child: ChildProcess = await server.start(spec, OutputPipe(lines.append))
    return lines, await child.end()


async def _state(process: SupervisedProcess) -> str:
    return process.state


async def _starts(process: SupervisedProcess, number: int) -> None:
    """Wait until it was started so often."""

    async def starts() -> int:
        return process.starts

    await eventually(starts, wanted=lambda found: found == number)


@pytest.mark.parametrize("program", [_DIES, _FULL, _REFUSES, "raise SystemExit(3)"])
async def test_without_a_usable_server_a_worker_starts_plainly(program: str) -> None:
    async with _running(program) as (server, _, _):
        for _ in range(2):
            assert await _started(server, "worker") == (["plain worker"], ExitStatus(0))


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    async with _running(_SILENT, answer_s=0.2) as (server, process, _):
        assert await _started(server, "worker") == (["plain worker"], ExitStatus(0))
        await _starts(process, 2)  # it ends with the connection


async def test_other_commands_are_never_forked() -> None:
    async with _running(_SILENT) as (server, _, _):
        assert await _started(server, "proxy") == (["plain proxy"], ExitStatus(0))


async def test_a_server_that_refuses_says_why_and_stays_down() -> None:
    async with _running(_REFUSES) as (server, process, said):
        await _started(server, "worker")
        await eventually(lambda: _state(process), wanted=lambda state: state == "ended")
        assert process.starts == 1
        assert said == ["workers start without --preload: it may not"]


async def test_a_starting_worker_can_be_cancelled() -> None:
    async with _running(_SILENT) as (server, _, _):
        async with asyncio.TaskGroup() as tasks:
            starting = tasks.create_task(_started(server, "worker"))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    await asyncio.shield(starting)
            starting.cancel()
        assert starting.cancelled()


async def test_nothing_is_forked_after_imports_that_start_threads(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, threading\n"
        "if 'tfleet.deploy.local.preload.server' in ' '.join(sys.orig_argv):\n"
        "    threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    said: list[str] = []
    server = ForkServer(PROGRAM, {**os.environ, "PYTHONPATH": path}, said.append, server=SERVER)
    async with _kept(server):
        spec = ChildSpec("worker-1", (*PROGRAM, "worker"), server.spec.environ)
        child = await server.start(spec, OutputPipe(lambda line: None))
        assert await child.end() == ExitStatus(0)
    assert said == ["workers start without --preload: what workers import has started a thread"]


async def test_a_killed_server_is_started_again() -> None:
    async with _running(_SILENT) as (_, process, _):
        await eventually(lambda: _state(process), wanted=lambda state: state == "running")
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        await _starts(process, 2)
