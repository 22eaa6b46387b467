"""`tfleet up` as a process, with stand-ins for its children."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.free_ports import free_ports

pytestmark = pytest.mark.process


class Up:
    """A running `tfleet up`, whose two outputs come line by line as one."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self.lines: list[str] = []

    def until(self, pattern: str, times: int = 1) -> str:
        """Read up to the line with the `times`th match; that line."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if re.search(pattern, line):
                times -= 1
                if times == 0:
                    return line
        raise AssertionError(f"ended without {pattern!r}:\n{self.text}")

    def end(self) -> int:
        """Read the rest; the exit code."""
        assert self.process.stdout is not None
        self.lines += self.process.stdout
        return self.process.wait()

    @property
    def text(self) -> str:
        return "".join(self.lines)

    @property
    def pids(self) -> list[int]:
        return [int(pid) for pid in re.findall(r"\(process (\d+)\)", self.text)]


@contextmanager
def _up(workers: int = 2, behaviour: str = "good") -> Iterator[Up]:
    proxy, registry = free_ports(2)
    script = str(Path(__file__).parents[1] / "run_fleet.py")
    with subprocess.Popen(
        [sys.executable, script, str(proxy), str(registry), str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "STAND_IN_WORKER": behaviour},
    ) as process:
        try:
            yield Up(process, proxy)
        finally:
            process.kill()


def _all_gone(up: Up, gone: Callable[[int], bool]) -> bool:
    return bool(up.pids) and all(map(gone, up.pids))


def test_commands_to_paste_are_shown_once_a_worker_is_ready() -> None:
    with _up() as up:
        up.until("2 of 2 workers ready")
        up.until("tfleet status")
        up.process.send_signal(signal.SIGTERM)
        assert up.end() == 0
    assert "up | a fleet of 2 workers behind a proxy on 127.0.0.1:" in up.text
    assert f'  curl -v -XPOST localhost:{up.port} -F "data=@cat.jpg"\n' in up.text
    assert up.text.index("registry started") < up.text.index("proxy started")


def test_a_signal_stops_proxy_then_workers_then_registry(gone: Callable[[int], bool]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with _up() as up:
            up.until("is good", times=4)
            up.process.send_signal(number)
            assert up.end() == 0
        assert f"stopping because of {number.name}" in up.text
        drained = re.findall(r"(\S+) +\| drained", up.text)
        assert drained[0] == "proxy"
        assert sorted(drained[1:3]) == ["worker-1", "worker-2"]
        assert drained[3:] == ["registry"]
        assert up.lines[-1] == "up | all stopped\n"
        assert _all_gone(up, gone)


def test_a_worker_that_is_killed_is_started_again() -> None:
    with _up(workers=1) as up:
        up.until("worker is good")
        os.kill(up.pids[1], signal.SIGKILL)  # after the registry
        up.until(r"worker-1 ended \(SIGKILL\): starting it again in 0\.\d s")
        up.until("worker is good")
        up.process.send_signal(signal.SIGTERM)
        assert up.end() == 0


def test_a_worker_that_keeps_dying_is_restarted_until_the_stop() -> None:
    with _up(workers=1, behaviour="dying") as up:
        up.until(r"worker-1 ended \(exit code 7\)", times=2)
        up.process.send_signal(signal.SIGTERM)
        assert up.end() == 0


def test_a_worker_that_can_never_run_ends_the_fleet(gone: Callable[[int], bool]) -> None:
    with _up(behaviour="unusable") as up:
        assert up.end() == 2
    assert re.fullmatch(r"Error: worker-[12] cannot run: no model here\n", up.lines[-1])
    assert up.text.count("no model here") == 1, "though two say so"
    assert "again in" not in up.text
    assert _all_gone(up, gone)


def test_a_childs_error_cannot_move_the_cursor() -> None:
    with _up(behaviour="hostile") as up:
        assert up.end() == 2
    assert re.fullmatch(r"Error: worker-[12] cannot run: no model a\\x1b\[2Jb\n", up.lines[-1])


def test_a_second_ctrl_c_kills_what_is_left(gone: Callable[[int], bool]) -> None:
    with _up(behaviour="deaf") as up:
        up.until("worker is deaf", times=2)
        up.process.send_signal(signal.SIGINT)
        up.until("stopping because of SIGINT")
        up.process.send_signal(signal.SIGINT)
        assert up.end() == 128 + signal.SIGINT
    assert up.lines[-1] == "up | all killed\n"
    assert _all_gone(up, gone)


def test_a_killed_up_leaves_no_children(gone: Callable[[int], bool]) -> None:
    with _up() as up:
        up.until("is good", times=4)
        up.process.send_signal(signal.SIGKILL)
        assert up.end() == -signal.SIGKILL
    assert len(up.pids) == 4
    assert _all_gone(up, gone)
