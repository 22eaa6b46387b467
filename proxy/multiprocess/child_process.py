"""Keeps one listener alive: one process after the other.

- A listener that ends without having been told to is started again, after ever longer waits while it keeps
  dying young. Its siblings serve on.
- One that could never listen, because of an option that can't be used, is not: then the proxy ends.
- Nothing is started once `stop` was called.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import sys
import time
from typing import Any, Final, Protocol

import structlog

from tfleet.contract.address import Address
from tfleet.proxy.multiprocess.messages import Ask, Begin, Message, Opened, Ready, Tell, Told, receive, send
from tfleet.runtime.backoff import RestartPolicy

# -P: as with `tfleet`, no file in the current folder takes the place of a module.
_PROGRAM: Final = (sys.executable, "-P", "-m", "tfleet.proxy.listeners")
_UNUSABLE: Final = 2


class House(Protocol):
    """Whom a keeper tells of its listener."""

    def begin(self, number: int) -> Begin:
        """What a listener is told when it starts."""

    def changed(self, keeper: Keeper) -> None:
        """Its listener has opened, has become ready, or can't be used."""

    def asked(self, keeper: Keeper) -> None:
        """It wants to know what all listeners know."""

    def ended(self, told: Told) -> None:
        """It has ended, and told this last."""


class Keeper:
    """Listener `number`, from 1 on."""

    def __init__(self, number: int, house: House, *, policy: RestartPolicy | None = None) -> None:
        self.number = number
        self.address: Address | None = None
        """Where it listens; None before it has for the first time."""
        self.ready = False
        """Whether it has ever had a worker to send to."""
        self.hopeless = False
        self.told = Told()
        """What the present process has told last."""
        self.fresh = asyncio.Event()
        """Set when there is nothing more to wait for after `tell`, as before there is a process."""
        self.fresh.set()
        self._house = house
        self._policy = policy or RestartPolicy()
        self._rng = random.Random()  # noqa: S311 - spreads restarts, guards nothing
        self._stop = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._telling = False
        self._log: Any = structlog.get_logger().bind(listener=number)

    def __repr__(self) -> str:
        return f"<Keeper {self.number}, pid {self._process.pid if self._process else None}>"

    async def run(self) -> None:
        """Keep it alive until `stop`, and until it has ended then."""
        failures = 0
        while not self._stop.is_set():
            began_s = time.monotonic()
            code = await self._live()
            if self._stop.is_set():
                return
            if code == _UNUSABLE and self.address is None:
                self.hopeless = True
                self._house.changed(self)
                return
            failures = self._policy.failures_after(failures, time.monotonic() - began_s)
            delay_s = self._policy.delay_s(failures, self._rng)
            self._log.warning("listener ended: starting it again", code=code, in_s=round(delay_s, 1))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._stop.wait()

    def send(self, message: Message) -> None:
        """Tell it, if it lives."""
        if self._writer is not None:
            send(self._writer, message)

    def tell(self) -> None:
        """Have it tell what it knows. One that has not answered the last time is not asked again."""
        if self._writer is None:
            return
        self.fresh.clear()
        if not self._telling:
            self._telling = True
            self.send(Tell())

    def stay_down(self) -> None:
        """Don't start it again once it has ended."""
        self._stop.set()

    def stop(self) -> None:
        """Ask it to finish what it has begun, and to end."""
        self.stay_down()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        self.stay_down()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _live(self) -> int | None:
        """One process, from start to end: its exit code, None where it could not even be started."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            try:
                process = await asyncio.create_subprocess_exec(*_PROGRAM, stdin=theirs.fileno())
            except OSError as error:  # out of memory or of processes: that may pass
                self._log.warning("listener could not be started", error=error.strerror or str(error))
                return None
            theirs.close()
            self._process = process
            try:
                self._log.info("listener started", pid=process.pid)
                if self._stop.is_set():
                    process.terminate()
                await self._hear(ours)
                return await process.wait()
            except BaseException:
                self.kill()
                await process.wait()
                raise
            finally:
                self._process = None

    async def _hear(self, control: socket.socket) -> None:
        """Take what it says, until it has ended."""
        control.setblocking(False)
        reader, self._writer = await asyncio.open_connection(sock=control)
        try:
            self.send(self._house.begin(self.number))
            while (message := await receive(reader)) is not None:
                self._take(message)
        finally:
            self._writer.close()
            self._writer, self._telling = None, False
            told, self.told = self.told, Told()
            self._house.ended(told)
            self.fresh.set()

    def _take(self, message: Message) -> None:
        match message:
            case Opened():
                self.address = message.address
                self._house.changed(self)
            case Ready():
                self.ready = True
                self._house.changed(self)
            case Ask():
                self._house.asked(self)
            case Told():
                self.told, self._telling = message, False
                self.fresh.set()
            case _:
                raise AssertionError(f"nothing for a parent: {message!r}")
