"""Plans are followed in both registries, survive what the registry loses, and end only by their marker."""

from __future__ import annotations

import asyncio
import contextlib
import urllib.request
import uuid
from collections import deque
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.consul.key_values import ConsulKeyValues, StoredValue, StoredValues
from tfleet.discovery.errors import RegistryError, RegistryRefusedError, RegistryUnavailableError
from tfleet.discovery.plan import Canary, Plan, default_key, dump_default, dump_plan, plan_key
from tfleet.discovery.plan_watch import Plans, PlanWatch
from tfleet.discovery.watch import Pacing

STABLE = Plan("1")
CANARY = Plan("1", Canary("2", 10.0))


def only(plan: Plan) -> Plans:
    return Plans({"m": plan})


class Followed:
    """A watch that runs, and all plans that it told, in order."""

    def __init__(self, store: ConsulKeyValues, service: str) -> None:
        self.told: list[Plans] = []
        self.watch = PlanWatch(store, service, self.told.append)

    async def until(self, expected: Plans) -> None:
        async def told() -> Plans | None:
            return self.told[-1] if self.told else None

        await eventually(told, wanted=lambda plans: plans == expected)


@pytest.fixture
def service() -> str:
    return f"service-{uuid.uuid4().hex[:8]}"


@pytest.fixture
async def store(server: Address) -> AsyncIterator[ConsulKeyValues]:
    store = ConsulKeyValues(server, wait_s=30)
    yield store
    await store.close()


@contextlib.asynccontextmanager
async def following(store: ConsulKeyValues, service: str) -> AsyncIterator[Followed]:
    followed = Followed(store, service)
    task = asyncio.ensure_future(followed.watch.run())
    try:
        await asyncio.wait_for(followed.watch.loaded.wait(), 10)
        yield followed
    finally:
        task.cancel()
        await asyncio.wait([task])


async def write(store: ConsulKeyValues, key: str, plan: Plan | None) -> None:
    values = (await store.below(key, 0, 30)).values
    assert await store.put(key, dump_plan(plan), cas=values[key].modify_index if key in values else 0)


async def test_plans_are_followed_as_they_change(store: ConsulKeyValues, service: str) -> None:
    await write(store, plan_key(service, "a/b"), STABLE)
    async with following(store, service) as followed:
        assert followed.watch.plans == Plans({"a/b": STABLE})
        await write(store, plan_key(service, "a/b"), CANARY)
        await followed.until(Plans({"a/b": CANARY}))
        await write(store, plan_key(service, "other"), STABLE)
        await followed.until(Plans({"a/b": CANARY, "other": STABLE}))
        await write(store, plan_key(service, "a/b"), None)
        await followed.until(Plans({"other": STABLE}))


async def test_a_vanished_plan_is_kept_and_written_back(
    server: Address, store: ConsulKeyValues, service: str
) -> None:
    key = plan_key(service, "m")
    await write(store, key, CANARY)
    async with following(store, service) as followed:
        await asyncio.to_thread(_delete, server, key)

        async def written() -> bytes | None:
            found = (await store.below(key, 0, 30)).values.get(key)
            return None if found is None else found.value

        assert await eventually(written) == dump_plan(CANARY)
        assert followed.told == [only(CANARY)], "nobody saw it go"


async def test_the_default_model_is_followed_and_kept(
    server: Address, store: ConsulKeyValues, service: str
) -> None:
    key = default_key(service)
    assert await store.put(key, dump_default("m"), cas=0)
    async with following(store, service) as followed:
        assert followed.watch.plans == Plans(default="m")
        await asyncio.to_thread(_delete, server, key)

        async def index() -> int:
            found = (await store.below(key, 0, 30)).values.get(key)
            return 0 if found is None else found.modify_index

        assert await store.put(key, dump_default(""), cas=await eventually(index))
        await followed.until(Plans())


async def test_a_plan_is_replaced_only_as_it_was_read(store: ConsulKeyValues, service: str) -> None:
    await write(store, plan_key(service, "m"), STABLE)
    async with following(store, service) as followed:
        assert not await followed.watch.replace("m", CANARY, STABLE), "the watch knows another plan"
        assert not await followed.watch.replace("other", STABLE, CANARY)
        assert await followed.watch.replace("m", STABLE, CANARY)
        await followed.until(only(CANARY))


def _delete(server: Address, key: str) -> None:
    request = urllib.request.Request(f"{server.url}/v1/kv/{key}", method="DELETE")
    with urllib.request.urlopen(request, timeout=10):
        pass


class ScriptedStore:
    """Answers as it is told and then blocks for ever, as a registry without news does."""

    def __init__(self, *steps: StoredValues | RegistryError, put: bool | RegistryError = True) -> None:
        self._steps = deque(steps)
        self._put = put
        self.asked: list[int] = []
        self.written: list[tuple[str, bytes, int]] = []
        self.done = asyncio.Event()

    async def below(self, prefix: str, index: int, wait_s: float) -> StoredValues:
        self.asked.append(index)
        if not self._steps:
            self.done.set()
            await asyncio.Event().wait()
        step = self._steps.popleft()
        if isinstance(step, RegistryError):
            raise step
        return step

    async def put(self, key: str, value: bytes, *, cas: int) -> bool:
        self.written.append((key, value, cas))
        if isinstance(self._put, RegistryError):
            raise self._put
        return self._put


def answer(
    index: int, plan: Plan | bytes | None = b"", *, leader: bool = True, complete: bool = True
) -> StoredValues:
    """What the registry says for the model `m`: a plan, the marker (None), a document, or nothing (empty)."""
    if plan == b"":
        return StoredValues(index, {}, leader, complete)
    document = plan if isinstance(plan, bytes) else dump_plan(plan)
    return StoredValues(index, {plan_key("s", "m"): StoredValue(document, index)}, leader, complete)


async def run_through(store: ScriptedStore, *, plans: Plans | None = None) -> tuple[list[Plans], list[float]]:
    """What the watch told, and the pauses that it made."""
    told: list[Plans] = []
    slept_s: list[float] = []

    async def sleep(seconds: float) -> None:
        slept_s.append(seconds)

    watch = PlanWatch(store, "s", told.append, plans=plans, pacing=Pacing(lambda: 0.0, sleep))
    task = asyncio.ensure_future(watch.run())
    await asyncio.wait_for(store.done.wait(), 10)
    task.cancel()
    await asyncio.wait([task])
    return told, slept_s


async def test_a_failure_keeps_the_plans_and_asks_anew() -> None:
    store = ScriptedStore(answer(5, CANARY), RegistryUnavailableError("gone"), answer(3, CANARY))
    told, slept_s = await run_through(store)
    assert told == [only(CANARY)]
    assert store.asked == [0, 5, 0, 3], "after the failure it does not block"
    assert len(slept_s) == 1


async def test_the_first_answer_is_told_even_if_it_is_empty() -> None:
    told, _ = await run_through(ScriptedStore(RegistryUnavailableError("gone"), answer(5), answer(5)))
    assert told == [Plans()], "not before, and not again"


async def test_a_registry_that_hides_plans_has_none() -> None:
    told, _ = await run_through(ScriptedStore(RegistryRefusedError("no key:read"), answer(5, CANARY)))
    assert told == [Plans(), only(CANARY)]


async def test_plans_known_before_are_written_back() -> None:
    store = ScriptedStore(answer(5))
    told, _ = await run_through(store, plans=only(CANARY))
    assert told == [only(CANARY)]
    assert store.written == [(plan_key("s", "m"), dump_plan(CANARY), 0)]


@pytest.mark.parametrize("lost", [answer(6, leader=False), answer(6, complete=False)])
async def test_absence_that_proves_nothing_writes_nothing(lost: StoredValues) -> None:
    store = ScriptedStore(answer(5, CANARY), lost)
    assert (await run_through(store))[0] == [only(CANARY)]
    assert store.written == []


async def test_a_vanished_plan_is_written_only_where_there_is_none() -> None:
    store = ScriptedStore(answer(5, CANARY), answer(6), put=False)
    assert (await run_through(store))[0] == [only(CANARY)]
    assert store.written == [(plan_key("s", "m"), dump_plan(CANARY), 0)]


async def test_a_plan_that_cannot_be_written_back_stays() -> None:
    store = ScriptedStore(answer(5, CANARY), answer(6), answer(7), put=RegistryRefusedError("no key:write"))
    with capture_logs() as logs:
        assert (await run_through(store))[0] == [only(CANARY)]
    assert [one["reason"] for one in logs if "reason" in one] == [
        "it has vanished and can't be written back: no key:write"
    ], "once, and not at each query"


async def test_a_plan_whose_marker_vanishes_stays_ended() -> None:
    store = ScriptedStore(answer(5, CANARY), answer(6, None), answer(7))
    assert (await run_through(store))[0] == [only(CANARY), Plans()]
    assert store.written == []


async def test_an_unreadable_document_keeps_the_last_good_plan() -> None:
    store = ScriptedStore(answer(5, CANARY), answer(6, b"{"), answer(7, b"{"), answer(8, STABLE))
    with capture_logs() as logs:
        assert (await run_through(store))[0] == [only(CANARY), only(STABLE)]
    assert [one["reason"] for one in logs if one["log_level"] == "warning"] == ["the plan is not JSON"]
    assert store.written == []


async def test_an_unreadable_document_is_not_overwritten() -> None:
    store = ScriptedStore(answer(5, CANARY), answer(6, b'{"stable": "1", "later": 1}'))
    watch = PlanWatch(store, "s", lambda plans: None)
    task = asyncio.ensure_future(watch.run())
    await asyncio.wait_for(store.done.wait(), 10)
    assert watch.plans == only(CANARY)
    assert not await watch.replace("m", CANARY, STABLE)
    assert store.written == []
    task.cancel()
    await asyncio.wait([task])


async def test_a_registry_that_does_not_block_is_asked_with_back_off() -> None:
    store = ScriptedStore(*[answer(5, CANARY)] * 6)
    _, slept_s = await run_through(store)
    assert len(slept_s) == 4, "one answer without news is normal"
