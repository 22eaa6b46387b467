"""Mirrored traffic of one proxy: copies of requests to canaries, within limits.

The rules:

- Only predictions are mirrored that name no version, and that the stable version has answered with success.
- A copy is sent after the client has its answer, and is not retried. Nothing waits for it.
- Beyond a limit (in flight, of a body, of an answer, of all memory) a request is skipped, and counted so.
- A stateful model gets no copy: it would change what the next client is answered.
- A mirrored try counts as any other try of the worker: for its health, and for the canary's rollback.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

from tfleet.httpd.http1.request import RequestHead
from tfleet.proxy.balancing.mirror_counts import MirrorResult
from tfleet.proxy.balancing.model_router import MirrorTurn, ModelRouter
from tfleet.proxy.forwarding.mirror.compare import Comparison
from tfleet.proxy.forwarding.mirror.copy import MirrorCopy, Origin
from tfleet.proxy.forwarding.mirror.mirrored_request import MirroredRequest
from tfleet.proxy.forwarding.replay_buffer import ReplayBudget
from tfleet.proxy.forwarding.worker_access import WorkerAccess
from tfleet.proxy.settings import RequestLimits

MAX_IN_FLIGHT: Final = 16
"""A canary that hangs holds so many connections and no more."""

_MAX_COPY_BYTES: Final = 4 * 1024 * 1024
"""Enough for most photographs: it is what the proxy keeps by default for a retry, too."""

_MAX_MEMORY_BYTES: Final = 32 * 1024 * 1024


class MirrorTraffic:
    """Sends copies. A context manager: at its end those in flight are given up."""

    def __init__(
        self,
        router: ModelRouter,
        access: WorkerAccess,
        limits: RequestLimits,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._router = router
        self._access = access
        self._limits = limits
        self._loop = loop
        self._memory = ReplayBudget(_MAX_COPY_BYTES, _MAX_MEMORY_BYTES)
        self._open: set[MirroredRequest] = set()

    def __repr__(self) -> str:
        return f"<MirrorTraffic {len(self._open)} in flight, {self._memory!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for request in list(self._open):
            request.close()
        self._open.clear()

    def copy(self, head: RequestHead, origin: Origin, turn: MirrorTurn) -> MirrorCopy:
        """A copy, with nothing in it yet."""
        return MirrorCopy(head, origin, turn, self._memory)

    def send(self, copy: MirrorCopy) -> None:
        """Send the copy of a request that was answered, or count it as skipped."""
        table, canary = self._router.table, copy.turn.canary
        room = copy.whole and len(self._open) < MAX_IN_FLIGHT
        member = table.pick_of(canary, (), late=False) if room else None
        if member is None or member.instance.stateful:
            copy.release()
            self._router.mirror_counts.add(canary, MirrorResult.SKIPPED)
            return
        request = MirroredRequest(copy, member, table, self._access, self._ended, self._loop)
        self._open.add(request)
        request.start(min(copy.origin.timeout_s, self._limits.try_timeout_s))

    def _ended(self, request: MirroredRequest, comparison: Comparison) -> None:
        self._open.discard(request)
        self._router.mirror_counts.add(request.copy.turn.canary, comparison.result, comparison.difference)
