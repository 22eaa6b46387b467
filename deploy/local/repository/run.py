"""Puts the watcher of a model repository together with the fleet that it belongs to."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import aiohttp

from tfleet.deploy.local.plan import FleetPlan, worker_cpus
from tfleet.deploy.local.readiness import ReadyWorker, ready_workers
from tfleet.deploy.local.repository.planned import registry_plans
from tfleet.deploy.local.repository.values import Release
from tfleet.deploy.local.repository.watcher import RepositoryWatcher, WatchRules
from tfleet.deploy.local.supervisor import Stage
from tfleet.deploy.local.terminal import Console, log_to
from tfleet.runtime.child_process import ChildSpec
from tfleet.runtime.cpus import usable_cpus
from tfleet.runtime.supervised_process import SupervisedProcess

_LEAST_STARTING: Final = 2
_LOOK_AT_FORKED_S: Final = 0.1
"""Forked workers are ready so soon that the pause between two looks would be most of the time."""


@asynccontextmanager
async def watched_repository(
    fleet: FleetPlan,
    console: Console,
    environ: Mapping[str, str],
    supervised: Callable[[ChildSpec], SupervisedProcess],
    *,
    stop_timeout_s: float,
) -> AsyncIterator[tuple[Stage, RepositoryWatcher]]:
    """The stage of a repository's workers, and their watcher. `supervised` makes a process of a command.

    The fleet has a repository. `environ` is the environment of its processes.
    """
    assert fleet.repository is not None
    log_to(console, fleet.shared.logs.level)
    cpus, numbers = usable_cpus(), Counter[str]()

    def spawn(release: Release, workers: int) -> SupervisedProcess:
        numbers[str(release)] += 1
        name = f"{release}-{numbers[str(release)]}"
        model = ("--model", str(release.path), "--model-name", release.model)
        spec = fleet.worker_spec(name, *model, "--model-version", release.version)
        return supervised(replace(spec, environ={**worker_cpus(cpus, workers), **environ}))

    source = fleet.repository.source
    followed = registry_plans(fleet.registry, fleet.service, source.path.absolute())
    async with aiohttp.ClientSession() as session, followed as plans:

        async def look() -> tuple[ReadyWorker, ...]:
            return await ready_workers(session, fleet.local_admin_address)

        async def keep(stop_asked: asyncio.Event) -> None:
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(plans.watch.run())
                tasks.create_task(watcher.keep(stop_asked))
                await stop_asked.wait()
                following.cancel()  # the registry stops, too
                await plans.report({})

        rules = WatchRules(fleet.repository.workers_per_model, max(_LEAST_STARTING, cpus), stop_timeout_s)
        if fleet.workers.preload:
            rules = replace(rules, look_s=_LOOK_AT_FORKED_S)
        watcher = RepositoryWatcher(
            source,
            rules,
            plans,
            spawn=spawn,
            look=look,
            say=console.say,
        )
        yield Stage(watcher.processes, keep=keep), watcher
