"""Active health checks: probes `/readyz` of workers that are new, ejected, unlisted or silent.

A worker is silent if requests wait for it and no response comes.
"""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp

from tfleet.contract.names import PROXY, WORKER
from tfleet.proxy.balancing.member import PoolMember, Probe
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.runtime.network_errors import plain_reason

_TIMEOUT: Final = aiohttp.ClientTimeout(total=1.0)
_MAX_PROBES: Final = 64
_MAX_PAUSE_S: Final = 0.5


class Prober:
    """Probes each worker when it is due. `run` never returns by itself.

    A round probes at most 64 workers and takes at most a second, however many the registry lists. Suspects
    come first, because requests are waiting for them.
    """

    def __init__(self, table: WorkerTable, session: aiohttp.ClientSession) -> None:
        self._table = table
        self._session = session

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            # Cleared before the round: a change during it starts the next round at once.
            self._table.pool_changed.clear()
            await self.round()
            try:
                async with asyncio.timeout(self._pause_s()):
                    await self._table.pool_changed.wait()
            except TimeoutError:
                pass

    async def round(self) -> None:
        """Probe the workers that are due, and report the results to the table."""
        due = {member.id: member for member in (*self._table.suspects(), *self._table.probes_due())}
        # Taken before the probes: a success says nothing about a failure that came after its probe began.
        probed, started_s = list(due.values())[:_MAX_PROBES], self._table.now_s()
        async with asyncio.TaskGroup() as group:
            tasks = {member.id: group.create_task(self._probe(member)) for member in probed}
        if tasks:
            # All at once, when the last probe is done: one change of the pool, and not one for each worker.
            found = {worker_id: task.result() for worker_id, task in tasks.items()}
            self._table.record_probes(found, started_s)

    def _pause_s(self) -> float:
        """Return the pause until the next round. It is short, because nothing announces a silent worker."""
        due_s = self._table.next_probe_in_s()
        return _MAX_PAUSE_S if due_s is None else min(due_s, _MAX_PAUSE_S)

    async def _probe(self, member: PoolMember) -> tuple[Probe, str]:
        try:
            async with self._session.get(f"{member.instance.address.url}/readyz", timeout=_TIMEOUT) as answer:
                if not member.answers_as(answer.headers.get(WORKER)):
                    return Probe.UNREACHABLE, f"{answer.headers[WORKER]} answers at its address"
                # A proxy answers /readyz, too, and would pass for a healthy worker.
                if WORKER not in answer.headers and PROXY in answer.headers:
                    return Probe.UNREACHABLE, "a proxy answers at its address"
                if answer.ok:
                    return Probe.READY, ""
                return Probe.NOT_READY, f"/readyz answers {answer.status}"
        except TimeoutError:
            return Probe.LATE, f"/readyz does not answer within {_TIMEOUT.total:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: an invalid host name
            return Probe.UNREACHABLE, plain_reason(error)
