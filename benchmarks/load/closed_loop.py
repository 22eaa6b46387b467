"""A closed-loop load: each connection sends its next request when it has the response to the last one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence

from benchmarks.load.connection import Connection
from benchmarks.load.form import Form
from benchmarks.report.figures import Figures, figures

_OK = 200


def load(url: str, form: Form, connections: int, seconds: float) -> Figures:
    """Post the form for this many seconds."""
    return asyncio.run(for_seconds(url, form, connections, seconds))


async def for_seconds(url: str, form: Form, connections: int, seconds: float) -> Figures:
    """The same in a running event loop."""
    until_s = time.perf_counter() + seconds

    def requests() -> Iterator[bytes]:
        while time.perf_counter() < until_s:
            yield request

    request = form.request(url)
    return await sent(url, requests(), connections)


async def sent(
    url: str, requests: Iterator[bytes], connections: int, tell: Callable[[int], None] = lambda answered: None
) -> Figures:
    """Send all requests. `tell` is called after each response with the number of responses so far."""
    answered: list[tuple[float, float]] = []
    failed = 0
    began_s = time.perf_counter()

    async def connection() -> None:
        nonlocal failed
        held: Connection | None = None
        for request in requests:
            sent_s = time.perf_counter()
            try:
                if held is None or held.closed:
                    held = await Connection.open(url)
                answer = await held.send(request)
            except OSError:
                failed += 1
                continue
            failed += answer.status != _OK
            answered.append((answer.done_s, answer.done_s - sent_s))
            tell(len(answered))
        if held is not None:
            held.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(connection())
    return figures(began_s, answered, failed)


def failures(of: Sequence[Figures]) -> int:
    """The number of requests that failed."""
    return sum(one.failed for one in of)
