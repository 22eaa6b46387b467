"""How long a try waits for its worker, not counting the time in which it waits for the client."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Patience:
    """Ends a block with TimeoutError when it has been the worker's turn for too long without any progress.

    It is the worker's turn to take a piece of the body or to give one of the answer, each time anew. A client
    that sends or reads slowly costs the worker none of it.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timeout = asyncio.timeout(None)
        self._running = False
        self._worker_since_s: float | None = None

    def __repr__(self) -> str:
        return f"<Patience {self._seconds:g} s, the worker's turn since {self._worker_since_s}>"

    @property
    def worker_since_s(self) -> float | None:
        """Since when it has been the worker's turn, on the loop's clock; None while it is the client's."""
        return self._worker_since_s

    async def __aenter__(self) -> Patience:
        await self._timeout.__aenter__()
        self._running = True
        self.worker_turn()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._running = False
        await self._timeout.__aexit__(kind, error, traceback)

    def worker_turn(self) -> None:
        """Start waiting anew."""
        now_s = asyncio.get_running_loop().time()
        self._worker_since_s = now_s
        self._until(now_s + self._seconds)

    def client_turn(self) -> None:
        """Stop waiting for the worker."""
        self._worker_since_s = None
        self._until(None)

    def give_up(self) -> None:
        """End the block as if the time were over."""
        self._until(asyncio.get_running_loop().time())

    def _until(self, when_s: float | None) -> None:
        # The body of a try that was given up may say once more whose turn it is: nobody waits for that.
        if self._running and not self._timeout.expired():
            self._timeout.reschedule(when_s)
