"""The worker's side of one decoder: its process, its socket and its stderr."""

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
from tfleet.worker.decoders.messages import DecodeJob, DecodeOutcome, Pause, receive, send, set_call_timeout

POLL_INTERVAL_S: Final = 0.05
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
    """A decoder process. One thread at a time uses it and ends it; any thread may `kill` it.

    It is started as a new program: forking a worker, which has many threads, could copy a held lock. Raises
    OSError if it can't be started.
    """

    def __init__(self, command: Sequence[str], *, address_space_bytes: int, nice: int) -> None:
        self.ready = False
        """Whether it has reported that it accepts jobs."""
        self._stderr = b""
        self._socket, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        settings = DecoderSettings(theirs.fileno(), lifeline, address_space_bytes, nice)
        try:
            set_call_timeout(self._socket, POLL_INTERVAL_S)
            self._process = subprocess.Popen(  # noqa: S603 - this very program, from the worker's own code
                [*command, *settings.arguments()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(settings.socket, settings.lifeline),
                env={**os.environ, **_ENVIRONMENT},
                # Ctrl-C must reach the worker only, which drains. Not a new session: Linux' autogroups share
                # the CPUs between sessions, which would make the nice value meaningless.
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
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended the process."""
        return self._process.returncode == -signal.SIGKILL

    @property
    def cpu_s(self) -> float:
        """The CPU time used so far, in seconds; 0 where the system does not report it."""
        with suppress(OSError):
            # The program's name comes before the last bracket, and may contain brackets and blanks itself.
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])) / _TICKS_A_SECOND
        return 0.0

    def wait_ready(self, pause: Pause) -> None:
        """Wait until it accepts jobs. Raises what `receive` raises."""
        if not self.ready:
            receive(self._socket, max_bytes=0, pause=pause)
            self.ready = True

    def ask(self, job: DecodeJob, max_bytes: int, pause: Pause) -> DecodeOutcome:
        """Run a job whose answer may have `max_bytes`. Raises what `send` and `receive` raise."""
        send(self._socket, {"name": job.name, "arguments": job.arguments}, job.body, pause)
        return DecodeOutcome(*receive(self._socket, max_bytes=max_bytes, pause=pause))

    def read_stderr(self) -> None:
        """Read what it has written to stderr: otherwise it would block when the pipe is full."""
        assert self._process.stderr is not None
        with suppress(BlockingIOError):
            while written := os.read(self._process.stderr.fileno(), _READ_AT_ONCE):
                self._stderr = (self._stderr + written)[-_KEPT_STDERR_BYTES:]

    def kill(self) -> None:
        """Send SIGKILL, without waiting for the end."""
        self._process.kill()

    def wait(self) -> None:
        """Wait until the process has ended."""
        self._process.wait()

    def end(self) -> tuple[str, str]:
        """Kill it if it still runs, and close its descriptors. Returns how it ended, and the end of its
        stderr.
        """
        self.kill()
        code = self._process.wait()
        self.read_stderr()
        self._socket.close()
        os.close(self._lifeline)
        assert self._process.stderr is not None
        self._process.stderr.close()
        how = f"exit code {code}" if code >= 0 else f"signal {-code}, {signal.strsignal(-code)}"
        return how, self._stderr.decode(errors="replace").strip()
