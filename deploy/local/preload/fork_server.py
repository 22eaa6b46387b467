"""The fork server as `tfleet up` sees it: it starts a worker there where that is possible, and else plainly.

Rules:

- One order at a time. A worker that is to be started while the server still imports waits for that: its own
  imports would take as long.
- A server that has ended is started again, as any process. Meanwhile workers are started plainly.
- Whatever goes wrong with an order, the worker is started plainly.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from tfleet.deploy.local.preload.messages import MAX_BYTES, ForkAnswer, ForkOrder, changed_options
from tfleet.runtime.child_process import Channel, ChildProcess, ChildSpec, OutputPipe
from tfleet.runtime.orphans import ReapedChild
from tfleet.runtime.process_title import ROOM

NAME: Final = "preload"
REFUSED: Final = 0
"""The exit code of a server that can't fork: another one could not, either."""

SERVER: Final = (sys.executable, "-P", "-m", "tfleet.deploy.local.preload.server", ROOM)
_FORKED_COMMAND: Final = "worker"
_IMPORT_S: Final = 60.0
_ANSWER_S: Final = 10.0


class ForkServer:
    """Starts workers. `program` is the command line of tfleet, without a command; `environ` is the server's
    environment. `say` prints a line. After `answer_s` seconds without an answer a server is given up.
    """

    def __init__(
        self,
        program: tuple[str, ...],
        environ: Mapping[str, str],
        say: Callable[[str], None],
        *,
        server: tuple[str, ...] = SERVER,
        answer_s: float = _ANSWER_S,
    ) -> None:
        self.spec = ChildSpec(NAME, server, environ)
        self._program = program
        self._environ = environ
        self._say = say
        self._answer_s = answer_s
        self._orders: socket.socket | None = None
        self._known = asyncio.Event()
        """Set once it is known whether the first server can fork."""
        self._one_at_a_time = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<ForkServer {'ready' if self._orders else 'not ready'}>"

    def channel(self, relay: Callable[[str], None]) -> Channel:
        """The connection to a server that is about to be started; `relay` gets the lines that it writes."""
        return _ServerChannel(self, relay)

    async def start(self, spec: ChildSpec, channel: Channel) -> ChildProcess:
        """Start a child, as `ChildProcess.start` does. Raises OSError."""
        order = self._order(spec)
        try:
            reaped = None if order is None else await self._forked(order, channel)
        except BaseException:
            channel.close()
            raise
        if reaped is None:
            return await ChildProcess.start(spec, channel)
        return ChildProcess(spec, channel, reaped.pid, reaped.returncode)

    async def connected(self, orders: socket.socket) -> None:
        """Wait until a server has imported everything, or has ended."""
        message = await asyncio.get_running_loop().sock_recv(orders, MAX_BYTES)
        if message:
            why_not = ForkAnswer.decode(message).why_not
            if why_not:
                self._say(f"workers start without --preload: {why_not}")
            else:
                self._orders = orders
        self._known.set()

    def ended(self) -> None:
        """Take note that the server has ended."""
        self._orders = None
        self._known.set()

    def _order(self, spec: ChildSpec) -> bytes | None:
        """The message that has such a child forked; None for one that can't be."""
        length = len(self._program)
        program, arguments = spec.argv[:length], spec.argv[length:]
        variables = changed_options(self._environ, os.environ if spec.environ is None else spec.environ)
        if program != self._program or arguments[:1] != (_FORKED_COMMAND,) or variables is None:
            return None
        message = ForkOrder(program, arguments, os.getpid(), variables).encode()
        return message if len(message) <= MAX_BYTES else None

    async def _forked(self, order: bytes, channel: Channel) -> ReapedChild | None:
        """A child that was forked; None if it was not. Raises OSError."""
        try:
            async with asyncio.timeout(_IMPORT_S):
                await self._known.wait()
        except TimeoutError:
            self._known.set()  # nobody else waits as long
        async with self._one_at_a_time:
            if self._orders is None:
                return None
            try:
                answer = await self._ask(self._orders, order, channel.streams()["stdout"])
            except (OSError, TimeoutError):
                self._give_up()
                return None
            except BaseException:
                self._give_up()
                raise
        return ReapedChild(answer.pid) if answer.pid else None

    async def _ask(self, orders: socket.socket, order: bytes, output: int) -> ForkAnswer:
        async with asyncio.timeout(self._answer_s):
            # It does not block: there is room, because each order is sent after the answer to the one before.
            socket.send_fds(orders, [order], [output])
            message = await asyncio.get_running_loop().sock_recv(orders, MAX_BYTES)
        return ForkAnswer.decode(message) if message else ForkAnswer()

    def _give_up(self) -> None:
        """End a server that does not answer: a late answer would be taken for the next one's."""
        orders, self._orders = self._orders, None
        if orders is not None:
            with suppress(OSError):
                orders.shutdown(socket.SHUT_RDWR)


class _ServerChannel:
    """The socket for orders to a server, and its output."""

    def __init__(self, owner: ForkServer, relay: Callable[[str], None]) -> None:
        self._owner = owner
        self._output = OutputPipe(relay)
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def streams(self) -> dict[str, Any]:
        return {**self._output.streams(), "stdin": self._theirs.fileno()}

    async def run(self) -> None:
        self._theirs.close()  # or the end of the server would not be the end of the connection
        self._ours.setblocking(False)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._owner.connected(self._ours))
            group.create_task(self._output.run())

    def close(self) -> None:
        self._owner.ended()
        self._output.close()
        self._theirs.close()
        self._ours.close()
