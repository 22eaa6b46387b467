from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.runtime.child_process import (
    ChildProcess,
    ChildSpec,
    ControlSocket,
    ExitStatus,
    OutputLines,
    OutputPipe,
)

pytestmark = pytest.mark.process


async def test_a_childs_output_is_relayed_in_order(python: Callable[..., ChildSpec]) -> None:
    lines: list[str] = []
    code = "import os\nfor n in range(200): os.write(1 + n % 2, b'%d\\n' % n)\nos.write(2, b'end')"
    child = await ChildProcess.start(python(code), OutputPipe(lines.append))
    assert await child.end() == ExitStatus(0)
    assert lines == [*map(str, range(200)), "end"]


async def test_a_child_has_its_own_session_and_no_input(python: Callable[..., ChildSpec]) -> None:
    lines: list[str] = []
    code = "import os, sys; print(os.getsid(0) == os.getpid(), repr(sys.stdin.read()))"
    child = await ChildProcess.start(python(code), OutputPipe(lines.append))
    await child.end()
    assert lines == ["True ''"]


async def test_a_child_has_only_the_given_environment() -> None:
    lines: list[str] = []
    code = "import os; print(os.environ['WHO'], 'HOME' in os.environ)"
    child = await ChildProcess.start(
        ChildSpec("child", (sys.executable, "-c", code), {"WHO": "me"}), OutputPipe(lines.append)
    )
    await child.end()
    assert lines == ["me False"]


async def test_a_child_ended_by_a_signal_says_which(python: Callable[..., ChildSpec]) -> None:
    ready = asyncio.Event()
    child = await ChildProcess.start(
        python("import signal; print(flush=True); signal.pause()"), OutputPipe(lambda _: ready.set())
    )
    async with asyncio.TaskGroup() as group:
        end = group.create_task(child.end())
        await ready.wait()
        child.send(signal.SIGTERM)
    assert str(end.result()) == "SIGTERM"
    child.send(signal.SIGTERM)  # too late, and no error


async def test_sigkill_also_kills_its_children(
    python: Callable[..., ChildSpec], gone: Callable[[int], bool]
) -> None:
    lines: asyncio.Queue[str] = asyncio.Queue()
    code = (
        "import signal, subprocess, sys\n"
        "grandchild = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "print(grandchild.pid, flush=True)\n"
        "signal.pause()\n"
    )
    child = await ChildProcess.start(python(code), OutputPipe(lines.put_nowait))
    async with asyncio.TaskGroup() as group:
        group.create_task(child.end())
        grandchild = int(await lines.get())
        child.send(signal.SIGKILL)
    assert gone(grandchild)


async def test_cancelling_ends_the_child(python: Callable[..., ChildSpec]) -> None:
    ready = asyncio.Event()
    code = "import signal; signal.signal(15, signal.SIG_IGN); print(flush=True); signal.pause()"
    child = await ChildProcess.start(python(code), OutputPipe(lambda _: ready.set()))
    async with asyncio.TaskGroup() as group:
        end = group.create_task(child.end())
        await ready.wait()
        end.cancel()
    assert end.cancelled()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


async def test_a_child_can_stay_in_our_session() -> None:
    lines: list[str] = []
    code = "import os; print(os.getsid(0), os.getpgid(0))"
    spec = ChildSpec("child", (sys.executable, "-c", code), own_session=False)
    child = await ChildProcess.start(spec, OutputPipe(lines.append))
    await child.end()
    assert lines == [f"{os.getsid(0)} {os.getpgid(0)}"]


async def test_a_control_socket_is_the_child_s_input() -> None:
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"from here\n")
        heard.append(await reader.read())

    code = "import socket; ours = socket.socket(fileno=0); ours.sendall(ours.recv(99).upper())"
    spec = ChildSpec("child", (sys.executable, "-c", code), own_session=False)
    child = await ChildProcess.start(spec, ControlSocket(talk))
    assert await child.end() == ExitStatus(0)
    assert heard == [b"FROM HERE\n"]


async def test_a_child_that_can_t_be_started_leaves_nothing_open() -> None:
    async def talk(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        pytest.fail("nobody is there")

    before = open_files()
    spec = ChildSpec("child", (sys.executable, "x" * 10_000_000))  # E2BIG
    with pytest.raises(OSError, match="Argument list too long"):
        await ChildProcess.start(spec, ControlSocket(talk))
    assert open_files() == before


def open_files() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize(
    ("returncode", "text"),
    [(0, "exit code 0"), (1, "exit code 1"), (-9, "SIGKILL"), (-11, "SIGSEGV"), (-40, "signal 40")],
)
def test_exit_status_is_described_in_words(returncode: int, text: str) -> None:
    assert str(ExitStatus(returncode)) == text


@pytest.mark.parametrize("returncode", [-15, -9, -2, 0, 1, 3])
def test_only_exit_code_2_is_unusable(returncode: int) -> None:
    assert not ExitStatus(returncode).unusable
    assert ExitStatus(2).unusable


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], []),
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"on", b"e\r\nt", b"wo"], ["one", "two"]),
        ([b"\n\n"], ["", ""]),
        ([b"\xff\n"], ["�"]),
        (["né\n".encode()[:2], "né\n".encode()[2:]], ["né"]),
        ([b"123456789\n"], ["1234", "5678", "9"]),
        ([b"123", b"4567", b"89"], ["1234", "5678", "9"]),
    ],
)
def test_lines_come_whole_however_the_pipe_cuts_them(pieces: list[bytes], expected: list[str]) -> None:
    lines = OutputLines(limit=4)
    assert [line for piece in pieces for line in lines.feed(piece)] + lines.end() == expected


def test_a_line_without_an_end_comes_in_pieces() -> None:
    lines = OutputLines(limit=4)
    assert lines.feed(b"x" * 9) == ["xxxx", "xxxx"]
    assert lines.end() == ["x"]
    assert lines.end() == []


@given(st.lists(st.binary(max_size=12)), st.integers(1, 8))
def test_no_line_of_a_childs_output_is_lost(pieces: list[bytes], limit: int) -> None:
    pieces = [bytes(byte % 128 for byte in piece if byte % 128 != 13) for piece in pieces]
    lines = OutputLines(limit)
    came = [line for piece in pieces for line in lines.feed(piece)] + lines.end()
    assert "".join(came) == b"".join(pieces).decode().replace("\n", "")
    assert all(len(line) <= limit for line in came)
