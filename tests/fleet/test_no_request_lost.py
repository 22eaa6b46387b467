"""Whatever happens to workers and registry, each client gets the answer to its own image."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.canned import nobody
from tests.consul_agent import consul_agent
from tests.fleet.processes import fleet, registry_process
from tests.fleet.steady import SteadyLoad
from tests.worker.model.graphs import write_model

RATE = 150.0
REQUESTS = 2000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "colours" / "1")


@pytest.fixture(params=["embedded", "consul"])
def registry(request: pytest.FixtureRequest) -> Iterator[str]:
    """A registry of the test's own."""
    if request.param == "embedded":
        address = nobody()
        with registry_process(address):
            yield f"consul://{address}"
    else:
        with consul_agent() as consul:
            yield f"consul://{consul.address}"


async def test_a_worker_is_killed(registry: str, model: Path) -> None:
    async with fleet(registry, model, workers=3) as running:
        async with SteadyLoad(running.proxy.url, rate=RATE) as load:
            await load.sent(300)
            running.workers[0].process.kill()
            await load.sent(REQUESTS)
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
        assert (await running.states()).count("ready") == 2


@pytest.mark.parametrize("registry", ["embedded"], indirect=True)
async def test_a_worker_accepts_and_never_answers(registry: str, model: Path) -> None:
    async with fleet(registry, model, workers=3) as running:
        async with SteadyLoad(running.proxy.url, rate=RATE) as load:
            await load.sent(300)
            stopped = running.workers[0].process
            stopped.send_signal(signal.SIGSTOP)
            await load.sent(REQUESTS)
        stopped.send_signal(signal.SIGCONT)
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"


@pytest.mark.parametrize("registry", ["consul"], indirect=True)
async def test_all_workers_are_restarted_one_after_the_other(registry: str, model: Path) -> None:
    async with fleet(registry, model, workers=2) as running:
        async with SteadyLoad(running.proxy.url, rate=RATE) as load:
            for old in list(running.workers):
                running.add_worker()
                await running.ready(3)
                old.process.terminate()
                await running.ready(2)
            await load.sent(REQUESTS)
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
        assert load.tally.retries == 0, "a worker that leaves in order costs nobody even a retry"
        assert len(load.tally.workers) == 4
