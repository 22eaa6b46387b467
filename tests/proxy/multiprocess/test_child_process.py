import asyncio
import contextlib
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import fake_worker, settings
from tests.support.proxy_process import (
    address_of,
    lines,
    listening,
    pids,
    post,
    together,
)
from tests.support.registered_workers import listed, ready, register, workers
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.proxy.multiprocess.child_process import ListenerProcess
from tfleet.proxy.multiprocess.messages import KnownFleet, Report, Start
from tfleet.runtime.log import LogSettings

pytestmark = pytest.mark.process


REQUESTS = 40


class Owner:
    """Starts a listener at an address, and hears of it."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.changes: list[ListenerProcess] = []

    def start_message(self, number: int) -> Start:
        own = settings()
        own = replace(own, listen=replace(own.listen, address=self.address))
        return Start(number, own, None, None, KnownFleet(), Path("/nowhere"), "", LogSettings("json"))

    def changed(self, child: ListenerProcess) -> None:
        self.changes.append(child)

    def child_ended(self, report: Report) -> None:
        """It counts nothing."""


async def test_a_listener_that_can_never_listen_is_given_up() -> None:
    owner = Owner(Address("192.0.2.1", 0))
    child = ListenerProcess(1, owner)
    await child.run()
    assert child.failed
    assert owner.changes == [child]


async def test_a_stopped_listener_finishes_and_stays_down() -> None:
    owner = Owner(Address("127.0.0.1", 0))
    child = ListenerProcess(1, owner)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(child.run())
        await eventually(lambda: asyncio.sleep(0, child.address))
        child.ask_report()
        await child.fresh.wait()
        assert child.report.families
        await child.stop(timeout_s=20)
        await running
    assert not child.failed


async def test_cancelling_kills_the_listener() -> None:
    child = ListenerProcess(1, Owner(Address("127.0.0.1", 0)))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(child.run())
        await eventually(lambda: asyncio.sleep(0, child.address))
        running.cancel()  # and no process is left, as each test here sees to


async def test_restarted_listeners_serve_without_the_registry() -> None:
    with contextlib.ExitStack() as stack:
        registry = stack.enter_context(embedded_registry())
        async with fake_worker() as worker:
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
