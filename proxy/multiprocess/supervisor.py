"""The parent's side of all listeners: it keeps them alive, and adds up what they know.

Each second, and whenever a page of one of them wants to know, it has all of them tell. So what was counted by
a listener that is killed is lost for the last second at most, and no counter that was ever shown falls.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import Metric

from tfleet.contract.address import Address
from tfleet.proxy.admin.workers import WorkerRow
from tfleet.proxy.multiprocess.aggregate import lasting, merge, sum_up
from tfleet.proxy.multiprocess.child_process import Keeper
from tfleet.proxy.multiprocess.messages import Begin, Message, Summed, Told
from tfleet.proxy.server import beside
from tfleet.proxy.telemetry.metrics import ProcessMetrics, exposition

_EVERY_S: Final = 1.0
_PATIENCE_S: Final = 0.5
"""How long a listener has to tell. What it told before counts where it takes longer."""
_UNUSABLE: Final = 2


class Hub:
    """The listeners, numbered from 1 to `count`."""

    def __init__(self, count: int) -> None:
        self.code = 0
        """With which the program is to end."""
        self.own = CollectorRegistry()
        """What the parent counts itself."""
        self._restarts = Counter(
            "tfleet_proxy_listener_restarts",
            "Listeners that ended without having been told to, and were started again",
            registry=self.own,
        )
        self.stop_asked = asyncio.Event()
        """Set by `ask_to_stop`, and by a listener that can't be used."""
        self.first_ready = asyncio.Event()
        """Set as soon as each of them has had a worker to send to."""
        self._settled = asyncio.Event()
        self.known: tuple[WorkerRow, ...] = ()
        """The workers that they knew last. Nobody is no news here, either: all may have died at once."""
        self._gone: tuple[Metric, ...] = ()
        self._asking: asyncio.Queue[Keeper] = asyncio.Queue()
        self._all_ended = asyncio.Event()
        self._begin: Callable[[int], Begin]
        self._keepers = tuple(Keeper(number, self) for number in range(1, count + 1))

    def __repr__(self) -> str:
        return f"<Hub {self._keepers!r}>"

    @property
    def address(self) -> Address:
        """Where they listen, once they have opened."""
        address = self._keepers[0].address
        assert address is not None
        return address

    @contextlib.asynccontextmanager
    async def running(self, begin: Callable[[int], Begin]) -> AsyncIterator[None]:
        """Keeps them alive inside the block; `begin` is what a listener is told when it starts."""
        self._begin = begin
        self.own.register(ProcessMetrics(asyncio.get_running_loop()))
        async with beside(self._keep_all, self._sum_for_ever):
            yield

    async def opened(self) -> bool:
        """Whether all of them let clients in, when they do or are not to any more."""
        await self._settled.wait()
        return not self.stop_asked.is_set()

    def say(self, message: Message) -> None:
        """Tell all of them."""
        for keeper in self._keepers:
            keeper.send(message)

    def ask_to_stop(self) -> None:
        """From here on no listener is started again."""
        for keeper in self._keepers:
            keeper.stay_down()
        self.stop_asked.set()
        self._settled.set()

    async def stop(self, timeout_s: float) -> None:
        """Have all of them finish what they have begun; who takes longer than that is killed."""
        for keeper in self._keepers:
            keeper.stop()
        try:
            async with asyncio.timeout(timeout_s):
                await self._all_ended.wait()
        except TimeoutError:
            self.kill()
            await self._all_ended.wait()

    def kill(self) -> None:
        """End all of them at once."""
        for keeper in self._keepers:
            keeper.kill()

    # What a keeper tells.

    def begin(self, number: int) -> Begin:
        return self._begin(number)

    def changed(self, keeper: Keeper) -> None:
        if keeper.hopeless:
            self.code = _UNUSABLE
            self.ask_to_stop()
        if all(one.address for one in self._keepers):
            self._settled.set()
        if all(one.ready for one in self._keepers):
            self.first_ready.set()

    def asked(self, keeper: Keeper) -> None:
        self._asking.put_nowait(keeper)

    def ended(self, told: Told) -> None:
        self._gone = sum_up([self._gone, lasting(told.families)])
        if not self.stop_asked.is_set():
            self._restarts.inc()

    async def _keep_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for keeper in self._keepers:
                group.create_task(keeper.run())
        self._all_ended.set()

    async def _sum_for_ever(self) -> None:
        while True:
            asking: list[Keeper] = []
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EVERY_S):
                    asking.append(await self._asking.get())
            while not self._asking.empty():
                asking.append(self._asking.get_nowait())
            await self._have_told()
            if asking:
                summed = Summed(await asyncio.to_thread(self._text), self._workers())
                for keeper in asking:
                    keeper.send(summed)

    async def _have_told(self) -> None:
        for keeper in self._keepers:
            keeper.tell()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                for keeper in self._keepers:
                    await keeper.fresh.wait()
        self.known = self._workers() or self.known

    def _workers(self) -> tuple[WorkerRow, ...]:
        return merge(keeper.told.workers for keeper in self._keepers)

    def _text(self) -> bytes:
        told = [self._gone, *(keeper.told.families for keeper in self._keepers), self.own.collect()]
        return exposition(sum_up(told))
