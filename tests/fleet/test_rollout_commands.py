"""`tfleet rollout`, `promote` and `rollback` on a whole fleet under a steady load: no request is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.either_registry import REGISTRIES, either_registry
from tests.support.fleet_processes import Fleet, fleet
from tests.support.rollouts import run_tfleet
from tests.support.version_load import VersionLoad
from tfleet.contract.address import Address

RATE = 100.0
STAGE = 200
"""Requests in each stage."""


@pytest.mark.parametrize("kind", REGISTRIES)
async def test_the_commands_roll_out_and_back(kind: str, tmp_path: Path) -> None:
    one, two = (
        Fleet.forked_workers.write_model(tmp_path / "m" / version, "tensor_models.write_version")
        for version in ("1", "2")
    )
    with either_registry(kind) as registry:
        async with fleet(f"consul://{registry}", one, "--slow-start", "0", workers=1) as running:
            said = await run_tfleet(registry, "rollout", "m", "1")
            assert said == "m: version 1 gets all requests; 1 proxy with the new plan\n"
            running.add_worker("--model", str(two))
            await running.ready(2)
            async with VersionLoad(f"{running.proxy.url}/predict", rate=RATE) as load:
                await _roll_out(registry, load)
            assert load.answers.failures == []


async def _roll_out(registry: Address, load: VersionLoad) -> None:
    assert (await load.next(STAGE)).versions.keys() == {"1"}, "the plan keeps it"
    for percent in (10.0, 50.0, 100.0):
        said = await run_tfleet(registry, "rollout", "m", "2", "--percent", str(percent))
        assert said.endswith("; 1 proxy with the new plan\n")
        # From here on the proxy follows: the command has waited for it.
        assert abs((await load.next(STAGE)).percent("2") - percent) < 2
    await run_tfleet(registry, "promote", "m")
    assert (await load.next(STAGE)).versions.keys() == {"2"}
    await run_tfleet(registry, "rollback", "m", "--reason", "by a test")
    assert (await load.next(STAGE)).versions.keys() == {"1"}
    (model,) = json.loads(await run_tfleet(registry, "models", "--json"))["models"]
    shares = {row["version"]: (row["percent"], row["role"]) for row in model["versions"]}
    assert shares == {"1": (100.0, "stable"), "2": (0.0, "previous")}
    assert model["plan"]["reason"] == "by a test"
