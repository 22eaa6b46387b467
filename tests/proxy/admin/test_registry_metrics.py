import aiohttp

from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import fake_worker, settings
from tests.support.registered_workers import deregister, register
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.server import single_process_proxy


async def scrape(proxy: Address) -> dict[str, float]:
    """What `/metrics` says of the registry, by the name of each figure."""
    async with aiohttp.ClientSession() as session, session.get(f"{proxy.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    figures = (line.rsplit(" ", 1) for line in lines if line.startswith("tfleet_registry_"))
    return {name.removeprefix("tfleet_registry_"): float(figure) for name, figure in figures}


async def changed(proxy: Address, times: int) -> None:
    """Wait until the registry's answer has changed so often."""
    await eventually(
        lambda: scrape(proxy), wanted=lambda now: now['answers_total{result="changed"}'] == times
    )


async def test_a_worker_that_is_kept_though_it_is_not_listed_is_shown() -> None:
    with embedded_registry() as registry:
        async with (
            fake_worker() as worker,
            single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy,
        ):
            await changed(proxy, 1)
            await register(registry, worker.address)
            await changed(proxy, 2)
            assert (await scrape(proxy))["unlisted_workers"] == 0
            await deregister(registry)
            figures = await eventually(lambda: scrape(proxy), wanted=lambda now: now["unlisted_workers"])
    assert figures['answers_total{result="empty"}'] == 1
    assert figures["index_resets_total"] == figures["failures_total"] == 0
    assert figures["last_sync_seconds"] < 30


async def test_a_registry_that_is_away_shows_in_failures_and_age() -> None:
    with embedded_registry() as registry:
        async with single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy:
            await eventually(
                lambda: scrape(proxy), wanted=lambda now: now['answers_total{result="changed"}'] == 1
            )
            before = await scrape(proxy)
    assert before["failures_total"] == 0
    async with single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy:
        first = await eventually(lambda: scrape(proxy), wanted=lambda now: now["failures_total"] > 0)
        later = await scrape(proxy)
    assert later["last_sync_seconds"] > first["last_sync_seconds"] > 0
