"""Asks workers in doubt whether they are ready: new, ejected, unlisted, or keeping somebody waiting."""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp

from tfleet.contract.names import PROXY, WORKER
from tfleet.proxy.balancing.pool import PoolMember, Probe
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.runtime.network_errors import plain_reason

_TIMEOUT: Final = aiohttp.ClientTimeout(total=1.0)
_AT_ONCE: Final = 64
_LOOK_EVERY_S: Final = 0.5


class Prober:
    """Probes each worker when the pool says that it is due. `run` never returns by itself.

    A round asks at most 64 workers and takes at most a second, whatever the registry lists; those that
    somebody is waiting for come first.
    """

    def __init__(self, fleet: WorkerTable, session: aiohttp.ClientSession) -> None:
        self._fleet = fleet
        self._session = session

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            self._fleet.pool_changed.clear()
            await self.round()
            try:
                async with asyncio.timeout(self._pause_s()):
                    await self._fleet.pool_changed.wait()
            except TimeoutError:
                pass

    async def round(self) -> None:
        """Probe those that are due, and tell the fleet what was found."""
        due = {member.id: member for member in (*self._fleet.suspects(), *self._fleet.probes_due())}
        asked, asked_s = list(due.values())[:_AT_ONCE], self._fleet.now_s()
        async with asyncio.TaskGroup() as group:
            tasks = {member.id: group.create_task(self._ask(member)) for member in asked}
        if tasks:
            found = {worker_id: task.result() for worker_id, task in tasks.items()}
            self._fleet.probed(found, asked_s)

    def _pause_s(self) -> float:
        """How long to sleep unless the pool changes: nothing announces a suspect, so it is never long."""
        due_s = self._fleet.next_probe_in_s()
        return _LOOK_EVERY_S if due_s is None else min(due_s, _LOOK_EVERY_S)

    async def _ask(self, member: PoolMember) -> tuple[Probe, str]:
        try:
            async with self._session.get(f"{member.instance.address.url}/readyz", timeout=_TIMEOUT) as answer:
                if not member.answers_as(answer.headers.get(WORKER)):
                    return Probe.UNREACHABLE, f"{answer.headers[WORKER]} answers at its address"
                if WORKER not in answer.headers and PROXY in answer.headers:
                    return Probe.UNREACHABLE, "a proxy answers at its address"
                if answer.ok:
                    return Probe.READY, ""
                return Probe.NOT_READY, f"/readyz answers {answer.status}"
        except TimeoutError:
            return Probe.LATE, f"/readyz does not answer within {_TIMEOUT.total:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a name that is none
            return Probe.UNREACHABLE, plain_reason(error)
