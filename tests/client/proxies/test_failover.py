from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.canned_server import canned
from tests.support.waiting import eventually
from tfleet.client import (
    AsyncFleetClient,
    DeadlineExceededError,
    FleetError,
    FleetUnavailableError,
    UnexpectedAnswerError,
    WorkerFailedError,
)

if TYPE_CHECKING:
    from tests.client.conftest import Handler, Scripted, ScriptedFleet


def dead_or(fleet: ScriptedFleet, nobody: str, fault: str) -> str:
    """A proxy with this fault."""
    faults: dict[str, Handler] = {
        "reset": fleet.reset(),
        "cut_short": fleet.cut_short(),
        "never": fleet.never(),
        "503": fleet.problem(503, "the proxy has all the connections it may have", Retry_After="30"),
    }
    return nobody if fault == "refused" else fleet.server(otherwise=faults[fault]).address


def counts(*proxies: Scripted) -> list[int]:
    """How many requests each has got, without the lookups of a client that wants to send one again."""
    return [sum(seen.method == "POST" for seen in proxy.seen) for proxy in proxies]


async def test_proxies_take_turns(fleet: ScriptedFleet) -> None:
    proxies = [fleet.server() for _ in range(3)]
    async with AsyncFleetClient([proxy.url for proxy in proxies]) as client:
        for _ in range(30):
            await client.classify(b"BM")
    assert counts(*proxies) == [10, 10, 10]


async def test_each_client_starts_at_a_random_proxy(fleet: ScriptedFleet) -> None:
    one, two = fleet.server(), fleet.server()
    for _ in range(40):
        async with AsyncFleetClient([one.url, two.url]) as client:
            await client.classify(b"BM")
    assert min(counts(one, two)) > 0, "so many that send one image each don't all send it to the same proxy"


def _try_timeout_s(fault: str) -> float:
    """Short only for what is found out by waiting: on a busy machine a good answer may take its time."""
    return 0.4 if fault == "never" else 10.0


@pytest.mark.parametrize("fault", ["refused", "reset", "cut_short", "503", "never"])
async def test_a_proxy_that_fails_costs_no_call(fleet: ScriptedFleet, nobody: str, fault: str) -> None:
    bad, good = dead_or(fleet, nobody, fault), fleet.server()
    async with AsyncFleetClient([bad, good.url], try_timeout_s=_try_timeout_s(fault)) as client:
        for _ in range(4):
            assert (await client.classify(b"BM")).predictions[0].label == "tabby"
    assert counts(good) == [4]


@pytest.mark.parametrize("fault", ["refused", "reset", "503", "never"])
async def test_lookups_go_to_the_next_proxy_too(fleet: ScriptedFleet, nobody: str, fault: str) -> None:
    worker = fleet.server()
    good = fleet.server(otherwise=fleet.leases(worker.address, lasts_s=0.001))
    bad = dead_or(fleet, nobody, fault)
    async with AsyncFleetClient([bad, good.url], p2p=True, try_timeout_s=_try_timeout_s(fault)) as client:
        for _ in range(4):
            await client.classify(b"BM")
    assert {seen.path for seen in good.seen} == {"/worker?n=64"}
    assert counts(worker) == [4]


async def test_the_fallback_uses_any_proxy_that_answers(fleet: ScriptedFleet, nobody: str) -> None:
    async def lease_or_answer(request: Any) -> Any:
        leases = fleet.leases("127.0.0.1:9", forwards=True)
        return await (leases if request.method == "GET" else fleet.predictions("detour"))(request)

    good = fleet.server(otherwise=lease_or_answer)
    async with AsyncFleetClient([nobody, good.url], p2p=True) as client:
        for _ in range(4):
            assert (await client.classify(b"BM")).predictions[0].label == "detour"


async def test_the_worker_list_comes_from_any_proxy(fleet: ScriptedFleet, nobody: str) -> None:
    good = fleet.server(otherwise=fleet.workers({"id": "w1", "address": "a:1", "state": "ready"}))
    async with AsyncFleetClient([nobody, good.url]) as client:
        for _ in range(2):
            assert [worker.id for worker in await client.workers()] == ["w1"]


async def test_a_failed_proxy_is_skipped_and_tried_again_later(fleet: ScriptedFleet) -> None:
    bad, good = fleet.server(fleet.reset()), fleet.server()
    async with AsyncFleetClient([bad.url, good.url]) as client:
        for _ in range(20):
            await client.classify(b"BM")
        assert counts(bad, good) == [1, 20]

        async def asked() -> int:
            await client.classify(b"BM")
            return len(bad.seen)

        await eventually(asked, wanted=lambda seen: seen == 2, timeout_s=4)
        for _ in range(10):
            await client.classify(b"BM")
        assert counts(bad) == [7], "an answer makes it as good as new"


async def test_one_request_probes_a_failed_proxy_at_a_time(fleet: ScriptedFleet) -> None:
    bad, good = fleet.server(fleet.reset(), otherwise=fleet.never()), fleet.server()
    async with AsyncFleetClient([bad.url, good.url], try_timeout_s=5) as client, asyncio.TaskGroup() as group:
        calls = []

        async def asked() -> int:
            calls.append(group.create_task(client.classify(b"BM")))
            await asyncio.sleep(0)
            return len(bad.seen)

        await eventually(asked, wanted=lambda seen: seen == 2)
        for _ in range(20):
            await client.classify(b"BM")
        assert counts(bad) == [2]
        for call in calls:
            call.cancel()


async def test_a_proxy_that_broke_off_an_answer_is_not_skipped(fleet: ScriptedFleet) -> None:
    bad, good = fleet.server(fleet.cut_short()), fleet.server()
    async with AsyncFleetClient([bad.url, good.url]) as client:
        for _ in range(10):
            await client.classify(b"BM")
    assert sum(counts(bad, good)) == 11
    assert min(counts(bad, good)) >= 5, "it was a worker that failed"


async def test_a_proxy_that_answers_502_or_429_is_not_skipped(fleet: ScriptedFleet) -> None:
    for status in (429, 502, 504):
        proxies = [fleet.server(otherwise=fleet.problem(status, "no")) for _ in range(2)]
        async with AsyncFleetClient([proxy.url for proxy in proxies]) as client:
            outcome = await client.outcome(b"BM")
            assert outcome.error is not None
            assert outcome.error.status == status
        assert sum(counts(*proxies)) == 1


async def test_if_all_proxies_say_503_the_call_fails_with_it(fleet: ScriptedFleet) -> None:
    proxies = [fleet.server(otherwise=fleet.problem(503, "no worker", Retry_After="2")) for _ in range(2)]
    async with AsyncFleetClient([proxy.url for proxy in proxies]) as client:
        with pytest.raises(FleetUnavailableError, match="no worker") as caught:
            await client.classify(b"BM")
    assert caught.value.retry_after_s == 2.0
    assert counts(*proxies) == [1, 1]


async def test_with_no_answer_each_proxy_is_named(fleet: ScriptedFleet, nobody: str) -> None:
    bad = fleet.server(otherwise=fleet.reset())
    async with AsyncFleetClient([nobody, bad.url]) as client:
        with pytest.raises(FleetUnavailableError) as caught:
            await client.classify(b"BM")
    assert f"cannot reach http://{nobody}: connection refused" in str(caught.value)
    assert f"cannot reach {bad.url}: it closed the connection" in str(caught.value)
    assert caught.value.request_id is not None


async def test_the_error_is_that_of_a_proxy_that_answered(fleet: ScriptedFleet, nobody: str) -> None:
    bad = fleet.server(otherwise=fleet.cut_short())
    async with AsyncFleetClient([nobody, bad.url]) as client:
        with pytest.raises(WorkerFailedError, match="cut short"):
            await client.classify(b"BM")


async def test_a_proxy_that_speaks_no_http_counts_as_dead(fleet: ScriptedFleet, nobody: str) -> None:
    with canned(b"220 mail.example ESMTP\r\n") as mail:
        async with AsyncFleetClient([str(mail), fleet.server().url]) as client:
            for _ in range(4):
                await client.classify(b"BM")
        async with AsyncFleetClient([str(mail), nobody]) as client:
            with pytest.raises(UnexpectedAnswerError, match="does not speak HTTP"):
                await client.classify(b"BM")


async def test_an_unreadable_answer_is_not_asked_for_twice(fleet: ScriptedFleet) -> None:
    good = fleet.server(otherwise=fleet.problem(400, "no such column"))
    errors = []
    with canned(b"220 mail.example ESMTP\r\n") as mail:
        async with AsyncFleetClient([str(mail), good.url]) as client:
            for _ in range(4):
                with pytest.raises(FleetError) as caught:
                    await client.predict({"x": 1}, idempotent=False)
                errors.append(str(caught.value))
    assert sum("does not speak HTTP" in error and "not sent again" in error for error in errors) == 2
    assert counts(good) == [2]


@pytest.mark.process
async def test_a_hanging_proxy_leaves_half_of_the_time(fleet: ScriptedFleet) -> None:
    hung, good = fleet.server(otherwise=fleet.never()), fleet.server()
    async with AsyncFleetClient([hung.url, good.url], timeout_s=2.4) as client:
        found = [await client.classify(b"BM") for _ in range(2)]
    quick_ms, slow_ms = sorted(one.elapsed_ms for one in found)
    assert slow_ms > 1000, "and it was enough"
    assert quick_ms < slow_ms / 2, "the other call did not wait for it"


@pytest.mark.process
async def test_a_call_without_an_answer_marks_its_proxy_as_failed(fleet: ScriptedFleet) -> None:
    hung, good = fleet.server(otherwise=fleet.never()), fleet.server()
    async with AsyncFleetClient([hung.url, good.url], timeout_s=1.0) as client:
        outcomes = [await client.outcome(b"BM") for _ in range(6)]
    failures = [outcome.error for outcome in outcomes if outcome.error is not None]
    assert len(failures) == 1
    assert isinstance(failures[0], DeadlineExceededError)


@pytest.mark.process
async def test_the_last_proxy_gets_all_the_remaining_time(fleet: ScriptedFleet, nobody: str) -> None:
    async def slowly(request: Any) -> Any:
        await asyncio.sleep(0.2)
        return await fleet.predictions("slow")(request)

    slow = fleet.server(otherwise=slowly)
    for _ in range(4):  # whoever has the first turn
        async with AsyncFleetClient([nobody, slow.url], try_timeout_s=0.1) as client:
            assert (await client.classify(b"BM")).predictions[0].label == "slow"


def test_repr_and_proxy_name_all_proxies() -> None:
    client = AsyncFleetClient(["a", "b"])
    assert client.proxy == "http://a:12480, http://b:12480"
    assert repr(client).startswith("<AsyncFleetClient http://a:12480, http://b:12480 Forward <Transport")
