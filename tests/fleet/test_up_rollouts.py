"""Rollouts by commands in a `tfleet up --models` under a steady load, with the layouts of other servers."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from tests.support.canned_server import nobody
from tests.support.rollouts import plan_of, run_tfleet, write_versions
from tests.support.tfleet_up import Up, up
from tests.support.version_load import Reply, VersionLoad
from tests.support.waiting import eventually
from tfleet.contract.address import Address

RATE = 100.0
STAGE = 200
"""Requests in each stage."""
_START_S = 60.0

CONFIG = """
model_config_list {{
  config {{
    name: "m" base_path: "versions/m" model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: {versions} }} }}
    version_labels {{ key: "prod" value: {prod} }}
  }}
}}
"""


@asynccontextmanager
async def serving(models: Path, *options: str) -> AsyncIterator[tuple[Up, Address]]:
    """A `tfleet up` with one ready worker, and where its registry is."""
    proxy, registry = nobody(), nobody()
    starting = up(*options, workers=1, models=models, ports=(proxy.port, registry.port))
    with ExitStack() as stack:
        fleet = await asyncio.to_thread(stack.enter_context, starting)
        try:
            yield fleet, registry
        finally:
            await asyncio.to_thread(stack.close)


async def labels(fleet: Up) -> dict[str, str]:
    """The labels in the plan that the proxy follows."""
    found: dict[str, str] = (await plan_of(fleet.proxy) or {}).get("labels", {})
    return found


async def only_serves(fleet: Up, *names: str) -> None:
    """Wait until each of these has a ready worker, and no other version has."""

    async def served() -> list[str]:
        rows = await asyncio.to_thread(fleet.workers)
        return sorted(f"{row['model']}/{row['version']}" for row in rows if row["state"] == "ready")

    await eventually(served, wanted=list(names).__eq__, timeout_s=_START_S)


async def test_a_models_config_is_rolled_out_by_commands(tmp_path: Path) -> None:
    write_versions(tmp_path / "versions", "1", "2")
    config = tmp_path / "models.config"
    config.write_text(CONFIG.format(versions="1", prod=1))
    async with serving(config) as (fleet, registry):
        await eventually(lambda: labels(fleet), wanted={"prod": "1"}.__eq__)
        model = f"{fleet.url}/models/m"
        async with VersionLoad(f"{model}/predict", rate=RATE) as load:
            # A label that the file does not have makes the plan the operator's: the file only sets its own.
            await run_tfleet(registry, "label", "m", "kept=1")
            config.write_text(CONFIG.format(versions="[1, 2]", prod=1))
            await _roll_out(registry, load)
            for named, version in (
                ("labels/prod", 1),
                ("labels/kept", 1),
                ("versions/1", 1),
                ("labels/stable", 2),
            ):
                assert await load.post(f"{model}/{named}/predict", 3) == Reply(f"m/{version}", 3.0 * version)
            config.write_text(CONFIG.format(versions="2", prod=2))
            await eventually(lambda: labels(fleet), wanted={"prod": "2", "kept": "1"}.__eq__)
            assert await load.post(f"{model}/labels/prod/predict", 3) == Reply("m/2", 6.0)
            assert await load.post(f"{model}/labels/kept/predict", 3) == Reply("m/1", 3.0), (
                "the plan names it"
            )
            await run_tfleet(registry, "models", "--end-plan", "m")
            await only_serves(fleet, "m/2")
            assert (await load.next(STAGE // 2)).versions.keys() == {"2"}
            assert await labels(fleet) == {}, "it stays ended"
        assert load.answers.failures == []
        assert "m/1 drains: m/2 has taken over" in fleet.said


async def test_tritons_models_are_rolled_out_by_commands(tmp_path: Path) -> None:
    """`--keep 1`: one version stays beside the newest that no plan names any more."""
    one, two, three = write_versions(tmp_path / "made", "1", "2", "3")
    models = tmp_path / "models"
    _add(one, models)
    config = 'name: "m" platform: "tensorflow_savedmodel" max_batch_size: 8'
    (models / "m" / "config.pbtxt").write_text(config)
    async with serving(models, "--keep", "1") as (fleet, registry):
        async with VersionLoad(f"{fleet.url}/models/m/predict", rate=RATE) as load:
            rollout = asyncio.create_task(_roll_out(registry, load))
            # Its first step: the plan that keeps version 1.
            await eventually(lambda: plan_of(fleet.proxy))
            _add(two, models)
            await rollout
            await run_tfleet(registry, "models", "--end-plan", "m")
            _add(three, models)
            await only_serves(fleet, "m/2", "m/3")
            assert (await load.next(STAGE // 2)).versions.keys() == {"3"}
        assert load.answers.failures == []
        assert "m/1 drains: m/3 has taken over" in fleet.said, "until then it stayed"


async def _roll_out(registry: Address, load: VersionLoad) -> None:
    """Version 2, as soon as it is ready, and then to all requests."""
    said = await run_tfleet(registry, "rollout", "m", "2", "--wait")
    assert said.endswith(
        "m: version 2 gets 10 % of the requests, version 1 the rest; 1 proxy with the new plan\n"
    )
    assert abs((await load.next(STAGE)).percent("2") - 10) < 2
    await run_tfleet(registry, "promote", "m")
    assert (await load.next(STAGE // 2)).versions.keys() == {"2"}


def _add(version: Path, models: Path) -> None:
    shutil.copytree(version, models / "m" / version.name / "model.savedmodel")
