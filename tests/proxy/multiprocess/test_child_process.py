import asyncio
import contextlib
import os
import signal
from dataclasses import replace

from tests.proxy.multiprocess.scene import (
    address_of,
    lines,
    listening,
    pids,
    post,
    together,
)
from tests.proxy.stand_in import settings, stand_in
from tests.proxy.test_registration import listed
from tests.proxy.test_service import ready, register, workers
from tests.support.embedded_registry import embedded_registry
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.proxy.multiprocess.child_process import Keeper
from tfleet.proxy.multiprocess.messages import Begin, Told

REQUESTS = 40


class House:
    """Starts a listener at an address, and hears of it."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.changes: list[Keeper] = []

    def begin(self, number: int) -> Begin:
        return Begin(number, replace(settings(), address=self.address), None, (), "", "json")

    def changed(self, keeper: Keeper) -> None:
        self.changes.append(keeper)

    def asked(self, keeper: Keeper) -> None:
        """Nobody asks."""

    def ended(self, told: Told) -> None:
        """It counts nothing."""


async def test_one_that_can_never_listen_is_given_up() -> None:
    house = House(Address("192.0.2.1", 0))
    keeper = Keeper(1, house)
    await keeper.run()
    assert keeper.hopeless
    assert house.changes == [keeper]


async def test_one_that_is_stopped_finishes_and_is_not_started_again() -> None:
    house = House(Address("127.0.0.1", 0))
    keeper = Keeper(1, house)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(keeper.run())
        await eventually(lambda: asyncio.sleep(0, keeper.address))
        keeper.tell()
        await keeper.fresh.wait()
        assert keeper.told.families
        keeper.stop()
        await running
    assert not keeper.hopeless


async def test_one_that_is_given_up_on_is_killed() -> None:
    keeper = Keeper(1, House(Address("127.0.0.1", 0)))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(keeper.run())
        await eventually(lambda: asyncio.sleep(0, keeper.address))
        running.cancel()  # and no process is left, as each test here sees to


async def test_those_that_are_started_again_serve_at_once_be_the_registry_away() -> None:
    with contextlib.ExitStack() as stack:
        registry = stack.enter_context(embedded_registry())
        async with stand_in() as worker:
            with together("--registry", f"consul://{registry}") as running:
                proxy = await address_of(running)
                await register(registry, worker.address)
                await eventually(lambda: workers(proxy), wanted=ready)
                await eventually(lambda: listed(registry))
                stack.close()
                for victim in await pids(running):
                    os.kill(victim, signal.SIGKILL)
                await lines(running, "listener started", 4)
                await eventually(lambda: asyncio.to_thread(listening, proxy), wanted=lambda found: found == 2)
                await post(proxy, REQUESTS)
