"""`tfleet rollout --mirror` on a whole fleet: the canary gets copies, and no client its answers."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.embedded_registry import embedded_registry
from tests.support.fleet_processes import Fleet, fleet
from tests.support.rollouts import run_tfleet
from tests.support.version_load import VersionLoad
from tests.support.waiting import eventually
from tfleet.contract.address import Address

RATE = 100.0
REQUESTS = 300


async def test_copies_are_counted_over_all_listeners(tmp_path: Path) -> None:
    """Version 2 answers twice as much as version 1: so the largest difference is the largest input."""
    one, two = (
        Fleet.forked_workers.write_model(tmp_path / "m" / version, "tensor_models.write_version")
        for version in ("1", "2")
    )
    with embedded_registry() as registry:
        options = ("--slow-start", "0", "--listeners", "2")
        async with fleet(f"consul://{registry}", one, *options, workers=1) as running:
            await run_tfleet(registry, "rollout", "m", "1")
            running.add_worker("--model", str(two))
            await running.ready(2)
            said = await run_tfleet(registry, "rollout", "m", "2", "--mirror", "50")
            assert (
                "version 2 gets 0 % of the requests, version 1 the rest, of which 50 % are mirrored" in said
            )
            sent = await _send(running)
            await eventually(lambda: _counted(registry), wanted=lambda count: sent / 2 - 2 < count)
            (model,) = json.loads(await run_tfleet(registry, "models", "--json"))["models"]
            counts = model["mirrored"]
            # Each listener's turns are exact; a copy is skipped where 16 others are open.
            assert counts["measured"] + counts["skipped"] in {sent // 2, sent // 2 - 1}
            assert counts["measured"] > sent / 4
            assert (counts["failed"], counts["not_comparable"], counts["silent_proxies"]) == (0, 0, 0)
            assert sent - 50 < counts["largest_difference"] <= sent
            assert "mirrored 50 %: " in await run_tfleet(registry, "models")
            await run_tfleet(registry, "promote", "m")
            (model,) = json.loads(await run_tfleet(registry, "models", "--json"))["models"]
            assert model["mirrored"] is None


async def _send(running: Fleet) -> int:
    """Send requests, which version 1 has to answer; return how many."""
    async with VersionLoad(f"{running.proxy.url}/predict", rate=RATE) as load:
        first = load.answers
        await load.next(REQUESTS)
    assert load.answers.failures == []
    assert first.versions.keys() | load.answers.versions.keys() == {"1"}
    return first.versions.total() + load.answers.versions.total()


async def _counted(registry: Address) -> int:
    (model,) = json.loads(await run_tfleet(registry, "models", "--json"))["models"]
    return int(model["mirrored"]["measured"] + model["mirrored"]["skipped"])
