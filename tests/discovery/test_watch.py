import asyncio
from collections import deque
from collections.abc import Callable

import pytest

from tfleet.discovery.address import Address
from tfleet.discovery.errors import RegistryError, RegistryUnavailableError
from tfleet.discovery.health import HealthAnswer
from tfleet.discovery.instance import Instance
from tfleet.discovery.watch import Watch

ONE = Instance("w1", Address("h", 1))
TWO = Instance("w2", Address("h", 2))

Step = HealthAnswer | RegistryError


class ScriptedHealth:
    """Answers as it is told and then blocks for ever, as a registry without news does."""

    def __init__(self, *steps: Step) -> None:
        self._steps = deque(steps)
        self.asked: list[int] = []
        self.done = asyncio.Event()

    async def service(self, service: str, index: int, wait_s: float) -> HealthAnswer:
        self.asked.append(index)
        if not self._steps:
            self.done.set()
            await asyncio.Event().wait()
        step = self._steps.popleft()
        if isinstance(step, RegistryError):
            raise step
        return step


class Heard:
    """What a watch told, and how long it slept without anybody waiting for it."""

    def __init__(self) -> None:
        self.lists: list[tuple[Instance, ...]] = []
        self.slept_s: list[float] = []

    def changed(self, instances: tuple[Instance, ...]) -> None:
        self.lists.append(instances)

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)


async def run_through(health: ScriptedHealth, on_change: Callable[..., None] | None = None) -> Heard:
    heard = Heard()
    watch = Watch(health, "tfleet", on_change or heard.changed, sleep=heard.sleep)
    task = asyncio.ensure_future(watch.run())
    done = asyncio.ensure_future(health.done.wait())
    await asyncio.wait({task, done}, return_when=asyncio.FIRST_COMPLETED, timeout=10)
    done.cancel()
    if task.done():
        task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return heard


async def test_each_new_list_is_told_once_and_the_index_follows() -> None:
    health = ScriptedHealth(HealthAnswer(3, (ONE,)), HealthAnswer(5, (ONE, TWO)))
    heard = await run_through(health)
    assert heard.lists == [(ONE,), (ONE, TWO)]
    assert health.asked == [0, 3, 5]
    assert heard.slept_s == []


async def test_an_empty_first_list_is_told_too() -> None:
    assert (await run_through(ScriptedHealth(HealthAnswer(3, ())))).lists == [()]


async def test_a_spurious_wake_changes_nothing() -> None:
    heard = await run_through(ScriptedHealth(HealthAnswer(3, (ONE,)), HealthAnswer(3, (ONE,))))
    assert heard.lists == [(ONE,)]
    assert heard.slept_s == []


async def test_a_registry_that_does_not_block_is_not_asked_in_a_busy_loop() -> None:
    heard = await run_through(ScriptedHealth(*[HealthAnswer(3, (ONE,))] * 6))
    assert len(heard.slept_s) == 4
    assert all(seconds > 0 for seconds in heard.slept_s)


async def test_a_failure_tells_nothing_and_the_next_query_starts_afresh() -> None:
    health = ScriptedHealth(
        HealthAnswer(7, (ONE,)),
        RegistryUnavailableError("down"),
        RegistryUnavailableError("down"),
        HealthAnswer(2, (ONE,)),
    )
    heard = await run_through(health)
    assert heard.lists == [(ONE,)]
    assert health.asked == [0, 7, 0, 0, 2]
    assert len(heard.slept_s) == 2
    assert heard.slept_s[1] > heard.slept_s[0] / 2


async def test_an_index_that_went_backwards_starts_at_zero() -> None:
    health = ScriptedHealth(HealthAnswer(9, (ONE,)), HealthAnswer(4, (TWO,)), HealthAnswer(4, (TWO,)))
    heard = await run_through(health)
    assert health.asked == [0, 9, 0, 4]
    assert heard.lists == [(ONE,), (TWO,)]


async def test_a_listener_that_fails_ends_the_watch() -> None:
    def broken(_: tuple[Instance, ...]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run_through(ScriptedHealth(HealthAnswer(1, (ONE,))), broken)


async def test_it_says_what_it_knows() -> None:
    watch = Watch(ScriptedHealth(), "tfleet", lambda _: None)
    assert repr(watch) == "<Watch tfleet index=0 nothing yet>"
