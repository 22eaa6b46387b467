"""What callers of the queue may take of this proxy: places to wait, and memory for bodies.

A submission is held whole until Redis has it, and a caller that waits keeps connections and looks at its job
every few seconds. Both are bounded here, as clients could ask for any number of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

from aiohttp import web

from tfleet.contract.problem import Problem, ProblemError

_NO_MEMORY = Problem(
    429, "too many jobs are being submitted at once: submit the job again after Retry-After", retry_after_s=1
)


class WaitingPlaces:
    """Places for callers that wait for answers. It belongs to one event loop."""

    def __init__(self, most: int) -> None:
        self._free = most

    def __repr__(self) -> str:
        return f"<WaitingPlaces {self._free} free>"

    @contextlib.contextmanager
    def place(self) -> Iterator[bool]:
        """Takes a place inside the block. Gives whether there was one."""
        if self._free <= 0:
            yield False
            return
        self._free -= 1
        try:
            yield True
        finally:
            self._free += 1


class BodyRoom:
    """Memory for the bodies of submissions. It belongs to one event loop."""

    def __init__(self, max_bytes: int) -> None:
        self._free_bytes = max_bytes

    def __repr__(self) -> str:
        return f"<BodyRoom {self._free_bytes} bytes free>"

    @contextlib.asynccontextmanager
    async def received(self, request: web.Request) -> AsyncIterator[bytes]:
        """The body of a request; its room is given back at the end of the block, so drop it there.

        Raises ProblemError (429) where there is no room for it, and HTTPRequestEntityTooLarge.
        """
        pieces: list[bytes] = []
        size = 0
        try:
            # Not by `request.read`, which keeps the body for as long as the request lasts.
            async for piece in request.content.iter_any():
                if len(piece) > self._free_bytes:
                    raise ProblemError(_NO_MEMORY)
                size += len(piece)
                self._free_bytes -= len(piece)
                if size > request.client_max_size:
                    raise web.HTTPRequestEntityTooLarge(max_size=request.client_max_size, actual_size=size)
                pieces.append(piece)
            yield b"".join(pieces)
        finally:
            self._free_bytes += size
