"""Keeps one listener, a child process, running, and handles its messages.

- A listener that ends without having been told to is started again. The others serve on.
- A listener that could never listen, because of an option that can't be used, is not: then the proxy ends.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final, Protocol

import structlog

from tfleet.contract.address import Address
from tfleet.proxy.multiprocess.messages import (
    MAX_MESSAGE_BYTES,
    Listening,
    Message,
    Ready,
    Report,
    ReportRequest,
    Start,
    receive,
    send,
)
from tfleet.runtime.backoff import RestartPolicy
from tfleet.runtime.child_process import ChildSpec, ControlSocket, ExitStatus
from tfleet.runtime.supervised_process import SupervisedProcess

# -P: as with `tfleet`, no file in the current folder takes the place of a module.
_PROGRAM: Final = (sys.executable, "-P", "-m", "tfleet.proxy.multiprocess")


class ChildOwner(Protocol):
    """Called about the events of a listener's life."""

    def start_message(self, number: int) -> Start:
        """Return the first message to a listener."""

    def changed(self, child: ListenerProcess) -> None:
        """The listener listens, has become ready, or can't be used."""

    def child_ended(self, report: Report) -> None:
        """The listener has ended; this was its last report."""


class ListenerProcess:
    """Listener `number`, from 1 on."""

    def __init__(self, number: int, owner: ChildOwner, *, policy: RestartPolicy | None = None) -> None:
        self.number = number
        self.address: Address | None = None
        """Where it listens; None until it listens for the first time."""
        self.ready = False
        """Whether it has ever had a ready worker."""
        self.report = Report()
        """The last report of the process that runs now."""
        self.fresh = asyncio.Event()
        """Set when there is nothing more to wait for after `ask_report`, as before there is a process."""
        self.fresh.set()
        self._owner = owner
        self._writer: asyncio.StreamWriter | None = None
        self._asked = False
        self._log: Any = structlog.get_logger().bind(listener=number)
        self._process = SupervisedProcess(
            # The child ignores Ctrl-C (see __main__.py), so it needs no session of its own.
            ChildSpec(f"listener-{number}", _PROGRAM, own_session=False),
            self,
            channel=lambda: ControlSocket(self._talk, limit_bytes=MAX_MESSAGE_BYTES),
            final=lambda status: status.unusable and self.address is None,
            policy=policy,
        )

    def __repr__(self) -> str:
        return f"<ListenerProcess {self.number}, pid {self._process.pid}>"

    @property
    def failed(self) -> bool:
        """Whether it can never listen."""
        return self._process.failed

    async def run(self) -> None:
        """Keep it running. Returns when it has ended after `stop`."""
        if await self._process.run() is not None:
            self._owner.changed(self)

    def send(self, message: Message) -> None:
        """Send it a message, if it runs."""
        if self._writer is not None:
            send(self._writer, message)

    def ask_report(self) -> None:
        """Ask it to report, unless it still owes the last report."""
        if self._writer is None:
            return
        self.fresh.clear()
        if not self._asked:
            self._asked = True
            self.send(ReportRequest())

    def stay_down(self) -> None:
        """Don't start it again once it has ended."""
        self._process.stay_down()

    async def stop(self, timeout_s: float) -> None:
        """Let it finish its requests and exit; kill it after `timeout_s` seconds."""
        await self._process.stop(timeout_s)

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle its messages until it has ended."""
        self._writer = writer
        try:
            self.send(self._owner.start_message(self.number))
            while (message := await receive(reader)) is not None:
                self._take(message)
        finally:
            self._writer, self._asked = None, False
            report, self.report = self.report, Report()
            self._owner.child_ended(report)
            self.fresh.set()

    def _take(self, message: Message) -> None:
        match message:
            case Listening():
                self.address = message.address
                self._owner.changed(self)
            case Ready():
                self.ready = True
                self._owner.changed(self)
            case Report():
                self.report, self._asked = message, False
                self.fresh.set()
            case _:
                raise AssertionError(f"nothing for a parent: {message!r}")

    # What the supervised process tells.

    def started(self, pid: int) -> None:
        self._log.info("listener started", pid=pid)

    def not_started(self, reason: str) -> None:
        self._log.warning("listener could not be started", error=reason)

    def output(self, line: str) -> None:
        raise AssertionError(f"a listener writes where its parent does: {line}")

    def ended(self, status: ExitStatus | None, restart_in_s: float) -> None:
        code = None if status is None else status.returncode
        self._log.warning("listener ended: starting it again", code=code, in_s=round(restart_in_s, 1))

    def overdue(self, timeout_s: float) -> None:
        self._log.warning("listener did not end in time: killed", after_s=timeout_s)
