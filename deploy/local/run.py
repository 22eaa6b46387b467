"""Run a whole fleet on this machine: start its processes, report their state, stop them in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import aiohttp

from tfleet.deploy.errors import CommandRefusedError
from tfleet.deploy.local import messages as announce
from tfleet.deploy.local.plan import FleetPlan
from tfleet.deploy.local.preload.run import preload
from tfleet.deploy.local.readiness import ReadyWorker, ready_workers
from tfleet.deploy.local.repository import messages as announce_models
from tfleet.deploy.local.repository.run import watched_repository
from tfleet.deploy.local.repository.watcher import RepositoryWatcher
from tfleet.deploy.local.supervisor import Stage, Supervisor
from tfleet.deploy.local.terminal import Console, ProcessMessages, Progress
from tfleet.deploy.signals import on_stop_signal
from tfleet.runtime.backoff import RestartPolicy
from tfleet.runtime.child_process import ChildProcess, ChildSpec
from tfleet.runtime.printable import printable
from tfleet.runtime.supervised_process import SupervisedProcess

_SIGNALLED = 128  # plus the number of the signal, as shells report it
_BEYOND_DRAIN_S = 15.0
"""Time for a stop beyond the drain: a worker's drain grace, closing its session."""


async def run_fleet(
    fleet: FleetPlan,
    console: Console,
    environ: Mapping[str, str],
    *,
    image: str,
    tfleet: str,
    policy: RestartPolicy | None = None,
) -> int:
    """Run `fleet` until a signal asks to stop; `environ` is the environment of its processes.

    The example commands that are printed send the photo `image` and call this program `tfleet`.

    Returns the exit code: 0 after a clean stop, 128 + the signal's number if a second signal killed the rest.
    Raises CommandRefusedError, after all processes have ended, if one of them ended with exit code 2.
    """
    forks = preload(fleet, console, environ, policy)
    start = forks[0].start if forks else ChildProcess.start

    def supervised(spec: ChildSpec) -> SupervisedProcess:
        return SupervisedProcess(spec, ProcessMessages(spec.name, console), policy=policy, start=start)

    def process(spec: ChildSpec) -> SupervisedProcess:
        return supervised(replace(spec, environ=environ))

    stop_timeout_s = fleet.drain_timeout_s + _BEYOND_DRAIN_S
    async with AsyncExitStack() as stack:
        if fleet.repository is None:
            workers = Stage(tuple(map(process, fleet.worker_specs())))
            report = _report_progress(fleet, console, image, tfleet)
        else:
            workers, watcher = await stack.enter_async_context(
                watched_repository(fleet, console, environ, supervised, stop_timeout_s=stop_timeout_s)
            )
            report = _report_first(fleet, console, image, tfleet, watcher)
        # Stopped in reverse order: the proxy finishes its requests while there are workers to answer them.
        stages = [workers, Stage((process(fleet.proxy_spec()),))]
        registry = fleet.registry_spec()
        if registry is not None:  # first, because the others warn if they start without it
            stages.insert(0, Stage((process(registry),), listens=fleet.registry.address))
        jobs = fleet.shared.jobs
        if jobs is not None and jobs.server is not None:
            stages.insert(0, Stage((process(jobs.server),), listens=jobs.socket))
        if forks:
            stages.insert(0, forks[1])
        return await _run(Supervisor(stages, stop_timeout_s=stop_timeout_s), stages, console, report)


async def _run(
    supervisor: Supervisor, stages: Sequence[Stage], console: Console, report: Coroutine[Any, Any, None]
) -> int:
    """Run the stages until a signal, with `report` beside them; see `run_fleet`."""
    with on_stop_signal(supervisor.stop) as signals:
        async with asyncio.TaskGroup() as group:
            group.create_task(supervisor.run())
            reporter = group.create_task(report)
            await supervisor.stop_asked.wait()
            reporter.cancel()
            console.say(announce.stop_message(signals[0].name if signals else _name_of(supervisor.failed)))
    if supervisor.failed:
        raise CommandRefusedError("; ".join(_refusals(supervisor.failed, stages)))
    for process in (each for stage in stages for each in stage.processes if each.final_reason):
        console.relay(process.spec.name, process.final_reason)
    console.say("all killed" if supervisor.killed else "all stopped")
    return _SIGNALLED + signals[-1] if supervisor.killed else 0


async def _report_progress(fleet: FleetPlan, console: Console, image: str, tfleet: str) -> None:
    """Report how many workers are ready, and print example commands as soon as the first one is."""
    number, proxy = fleet.workers.number, fleet.proxy
    console.say(announce.start_message(number, proxy.mode, proxy.address, fleet.registry))
    began = time.monotonic()
    progress, shown = Progress(number), False
    async with aiohttp.ClientSession() as session:
        while not progress.complete:
            ready = await ready_workers(session, fleet.local_admin_address)
            elapsed_s = time.monotonic() - began
            if progress.news(len(ready), elapsed_s):
                console.say(announce.progress(len(ready), number, elapsed_s))
            if ready and not shown:
                shown = True
                _show_commands(fleet, console, image, tfleet, ready[0])
            await asyncio.sleep(progress.pause_s(elapsed_s))


async def _report_first(
    fleet: FleetPlan, console: Console, image: str, tfleet: str, watcher: RepositoryWatcher
) -> None:
    """Print example commands as soon as the first worker of a repository is ready."""
    assert fleet.repository is not None
    source, proxy = fleet.repository.source.path, str(fleet.proxy.address)
    console.say(announce_models.start_message(source, proxy, str(fleet.registry)))
    _show_commands(fleet, console, image, tfleet, await watcher.first_ready)


def _show_commands(fleet: FleetPlan, console: Console, image: str, tfleet: str, worker: ReadyWorker) -> None:
    """Print the commands that ask for the model of a worker."""
    here = fleet.local_proxy_address
    # Among several models a request has to name one, as the page of each model shows.
    kind = worker.kind if fleet.repository is None else "any"
    calls = announce.example_calls(fleet.proxy.mode, here, image, worker.model, kind)
    there = announce.address_for_others(fleet.proxy.address)
    console.show(announce.ready_message(calls, here, tfleet, there))


def _refusals(first: SupervisedProcess, stages: Iterable[Stage]) -> list[str]:
    """Why processes can't run: a line for each reason, once."""
    others = (each for stage in stages for each in stage.processes if each.failed or each.final_reason)
    refused = [first, *others]
    by_reason = {each.final_reason: each for each in reversed(refused)}
    return [
        f"{_name_of(each)} cannot run: {printable(reason) or 'it ended with exit code 2, see above'}"
        for reason, each in reversed(by_reason.items())
    ]


def _name_of(process: SupervisedProcess | None) -> str:
    return process.spec.name if process else "nobody"
