"""The worker's side of one decoder: a process, the way to it, and what it writes on its stderr."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tfleet.worker.decoders.limits import DecoderSettings
from tfleet.worker.decoders.messages import DecodeJob, DecodeOutcome, Pause, limit_calls, receive, send

LOOK_EVERY_S: Final = 0.05
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
_USER_TICKS, _SYSTEM_TICKS = 11, 12  # among the fields of /proc/PID/stat that follow the name
_KEPT_STDERR_BYTES: Final = 2000
_READ_AT_ONCE: Final = 64 * 1024
_ENVIRONMENT: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",  # an arena for each thread would take 64 MB of address space
}


class Decoder:
    """A decoder process. It is used by one thread at a time, which also ends it; anybody may `kill` it.

    It is started as a program of its own, never forked: a worker has many threads. Raises OSError where it
    can't be started.
    """

    def __init__(self, command: Sequence[str], *, address_space_bytes: int, nice: int) -> None:
        self.ready = False
        """Whether it has said that it takes jobs."""
        self._stderr = b""
        self._socket, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        settings = DecoderSettings(theirs.fileno(), lifeline, address_space_bytes, nice)
        try:
            limit_calls(self._socket, LOOK_EVERY_S)
            self._process = subprocess.Popen(  # noqa: S603 - this very program, from the worker's own code
                [*command, *settings.arguments()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(settings.socket, settings.lifeline),
                env={**os.environ, **_ENVIRONMENT},
                # Ctrl-C is for the worker, which drains. A session of its own would make a nice value
                # meaningless: Linux' autogroups share the CPUs by sessions.
                process_group=0,
            )
        except BaseException:
            self._socket.close()
            os.close(self._lifeline)
            raise
        finally:
            theirs.close()
            os.close(lifeline)
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)

    def __repr__(self) -> str:
        return f"<Decoder {self.pid}>"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def killed(self) -> bool:
        """Whether SIGKILL has ended it."""
        return self._process.returncode == -signal.SIGKILL

    @property
    def cpu_s(self) -> float:
        """The CPU time that it has taken so far; 0 where the system does not tell."""
        with suppress(OSError):
            # The name in front of the last bracket may hold anything.
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])) / _TICKS_A_SECOND
        return 0.0

    def wait_ready(self, pause: Pause) -> None:
        """Wait until it takes jobs. Raises what `receive` raises."""
        if not self.ready:
            receive(self._socket, most_bytes=0, pause=pause)
            self.ready = True

    def ask(self, job: DecodeJob, most_bytes: int, pause: Pause) -> DecodeOutcome:
        """Have a job done, whose answer has at most so many bytes. Raises what `send` and `receive` raise."""
        send(self._socket, {"name": job.name, "arguments": job.arguments}, job.body, pause)
        return DecodeOutcome(*receive(self._socket, most_bytes=most_bytes, pause=pause))

    def listen(self) -> None:
        """Read what it has written on its stderr; who doesn't stops it when the pipe is full."""
        assert self._process.stderr is not None
        with suppress(BlockingIOError):
            while written := os.read(self._process.stderr.fileno(), _READ_AT_ONCE):
                self._stderr = (self._stderr + written)[-_KEPT_STDERR_BYTES:]

    def kill(self) -> None:
        """Have it ended, without waiting for that."""
        self._process.kill()

    def wait(self) -> None:
        """Return when it has ended."""
        self._process.wait()

    def end(self) -> tuple[str, str]:
        """End it if it has not ended, and give back all that it has. How it ended, and its last words."""
        self.kill()
        code = self._process.wait()
        self.listen()
        self._socket.close()
        os.close(self._lifeline)
        assert self._process.stderr is not None
        self._process.stderr.close()
        how = f"exit code {code}" if code >= 0 else f"signal {-code}, {signal.strsignal(-code)}"
        return how, self._stderr.decode(errors="replace").strip()
