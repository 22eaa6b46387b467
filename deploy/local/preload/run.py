"""Puts the fork server together with the fleet that it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from tfleet.deploy.local.plan import FleetPlan
from tfleet.deploy.local.preload.fork_server import NAME, REFUSED, ForkServer
from tfleet.deploy.local.supervisor import Stage
from tfleet.deploy.local.terminal import Console, ProcessMessages
from tfleet.runtime.backoff import RestartPolicy
from tfleet.runtime.orphans import become_subreaper, keep_reaping
from tfleet.runtime.supervised_process import SupervisedProcess


def preload(
    fleet: FleetPlan, console: Console, environ: Mapping[str, str], policy: RestartPolicy | None
) -> tuple[ForkServer, Stage] | None:
    """The fork server and its stage; None if the fleet shall have none, or the system has no subreapers."""
    if not (fleet.workers.preload and become_subreaper()):
        return None
    server, events = ForkServer(fleet.program, environ, console.say), ProcessMessages(NAME, console)
    process = SupervisedProcess(
        server.spec,
        events,
        channel=lambda: server.channel(events.output),
        final=lambda status: status.returncode == REFUSED,
        policy=policy,
    )
    processes: list[SupervisedProcess] = []

    async def keep(stop_asked: asyncio.Event) -> None:
        # Not one of the processes from the start: the fleet goes on without it.
        processes.append(process)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_reaping(stop_asked))
            await process.run()

    return server, Stage(processes, keep=keep)
