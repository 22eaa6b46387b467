"""Runs a whole fleet on this machine, from the first process to the last."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

import aiohttp

from tfleet.deploy.errors import CommandRefusedError
from tfleet.deploy.local import messages as announce
from tfleet.deploy.local.plan import FleetPlan
from tfleet.deploy.local.readiness import ready_workers
from tfleet.deploy.local.supervisor import Stage, Supervisor
from tfleet.deploy.local.terminal import Console, ProcessMessages, Progress
from tfleet.deploy.signals import on_stop_signal
from tfleet.runtime.backoff import RestartPolicy
from tfleet.runtime.child_process import ChildSpec
from tfleet.runtime.printable import printable
from tfleet.runtime.supervised_process import SupervisedProcess

_SIGNALLED = 128  # and the number of the signal, as a shell has it
_BEYOND_DRAIN_S = 15.0
"""What stopping may take besides the drain: a worker's grace for the watchers, closing its session."""


async def run_fleet(
    fleet: FleetPlan,
    console: Console,
    environ: Mapping[str, str],
    *,
    image: str,
    tfleet: str,
    policy: RestartPolicy | None = None,
) -> int:
    """Run `fleet`, its processes with the environment `environ`, until a signal asks to stop.

    `image` is the path of a photo that the lines to paste send, `tfleet` how they call this program.

    Returns the exit code: 0 after a stop in order, 128 + the signal's number where a second one killed what
    was left. Raises RefusedError, once all are stopped, where a process ended with exit code 2.
    """
    stages = _stages(fleet, console, environ, policy)
    supervisor = Supervisor(stages, stop_timeout_s=fleet.drain_timeout_s + _BEYOND_DRAIN_S)
    console.say(announce.opening(fleet.workers, fleet.mode, fleet.proxy, fleet.registry))
    with on_stop_signal(supervisor.stop) as signals:
        async with asyncio.TaskGroup() as group:
            group.create_task(supervisor.run())
            herald = group.create_task(_herald(fleet, console, image, tfleet))
            await supervisor.stop_asked.wait()
            herald.cancel()
            console.say(announce.farewell(signals[0].name if signals else _name_of(supervisor.failed)))
    if supervisor.failed:
        raise CommandRefusedError("; ".join(_refusals(supervisor.failed, stages)))
    for process in (each for stage in stages for each in stage.processes if each.final_reason):
        console.relay(process.spec.name, process.final_reason)
    console.say("all killed" if supervisor.killed else "all stopped")
    return _SIGNALLED + signals[-1] if supervisor.killed else 0


def _stages(
    fleet: FleetPlan, console: Console, environ: Mapping[str, str], policy: RestartPolicy | None
) -> list[Stage]:
    def processes(*specs: ChildSpec) -> tuple[SupervisedProcess, ...]:
        return tuple(
            SupervisedProcess(
                replace(spec, environ=environ), ProcessMessages(spec.name, console), policy=policy
            )
            for spec in specs
        )

    # Stopped the other way round: the proxy answers what it has begun while there are workers to do it.
    stages = [Stage(processes(*fleet.worker_specs())), Stage(processes(fleet.proxy_spec()))]
    registry = fleet.registry_spec()
    if registry is not None:  # the others would find it later, too, but not without a warning first
        stages.insert(0, Stage(processes(registry), listens=fleet.registry.address))
    return stages


async def _herald(fleet: FleetPlan, console: Console, image: str, tfleet: str) -> None:
    """Tell how the workers come up; the lines to paste as soon as one of them can answer."""
    began = time.monotonic()
    progress, invited = Progress(fleet.workers), False
    async with aiohttp.ClientSession() as session:
        while not progress.complete:
            ready = await ready_workers(session, fleet.workers_page_here)
            elapsed_s = time.monotonic() - began
            if progress.news(ready, elapsed_s):
                console.say(announce.progress(ready, fleet.workers, elapsed_s))
            if ready and not invited:
                invited = True
                there = announce.elsewhere(fleet.proxy)
                console.show(announce.invitation(fleet.mode, fleet.seen_here, image, tfleet, there))
            await asyncio.sleep(progress.pause_s(elapsed_s))


def _refusals(first: SupervisedProcess, stages: Iterable[Stage]) -> list[str]:
    """Why processes can't run, each reason once."""
    others = (each for stage in stages for each in stage.processes if each.failed or each.final_reason)
    refused = [first, *others]
    by_reason = {each.final_reason: each for each in reversed(refused)}
    return [
        f"{_name_of(each)} cannot run: {printable(reason) or 'it ended with exit code 2, see above'}"
        for reason, each in reversed(by_reason.items())
    ]


def _name_of(process: SupervisedProcess | None) -> str:
    return process.spec.name if process else "nobody"
