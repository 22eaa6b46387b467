"""Asks workers that are in doubt whether they are ready: ejected, unlisted, or silent while others wait."""

from __future__ import annotations

import asyncio

import aiohttp

from tfleet.proxy.fleet import Fleet
from tfleet.proxy.pool import Member, Probe

_TIMEOUT = aiohttp.ClientTimeout(total=1.0)
_AT_ONCE = 32
_LOOK_EVERY_S = 0.5


class Prober:
    """Probes each worker when the pool says that it is due. `run` never returns by itself."""

    def __init__(self, fleet: Fleet, session: aiohttp.ClientSession) -> None:
        self._fleet = fleet
        self._session = session
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            self._fleet.pool_changed.clear()
            due = {member.id: member for member in (*self._fleet.probes_due(), *self._fleet.suspects())}
            async with asyncio.TaskGroup() as probes:
                for member in due.values():
                    probes.create_task(self._probe(member))
            try:
                async with asyncio.timeout(self._pause_s()):
                    await self._fleet.pool_changed.wait()
            except TimeoutError:
                pass

    def _pause_s(self) -> float:
        """How long to sleep unless the pool changes: nothing announces a suspect, so it is never long."""
        due_s = self._fleet.next_probe_in_s()
        return _LOOK_EVERY_S if due_s is None else min(due_s, _LOOK_EVERY_S)

    async def _probe(self, member: Member) -> None:
        async with self._slots:
            probe, error = await self._ask(member)
        self._fleet.probed(member, probe, error)

    async def _ask(self, member: Member) -> tuple[Probe, str]:
        try:
            async with self._session.get(f"{member.instance.address.url}/readyz", timeout=_TIMEOUT) as answer:
                if answer.ok:
                    return Probe.READY, ""
                return Probe.NOT_READY, f"/readyz answers {answer.status}"
        except TimeoutError:
            return Probe.UNREACHABLE, f"/readyz does not answer within {_TIMEOUT.total:g} s"
        except (aiohttp.ClientError, OSError) as error:
            return Probe.UNREACHABLE, str(error) or type(error).__name__
