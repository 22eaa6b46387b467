"""An open-loop load: requests go out at their times, whether or not the earlier ones have been answered."""

from __future__ import annotations

import asyncio
import bisect
import time
from collections import deque
from dataclasses import dataclass, field

from benchmarks.load.connection import Answer, Connection

OK = 200
BUSY = 429
WINDOW_S = 3.0


@dataclass(slots=True)
class Flood:
    """What came of it: answers by status, the moments of the good ones, and how long rejections took.

    A rejection takes from the last byte of its request to the head of its answer. `late_s` is by how much
    the slowest request was sent late, which is the load's own fault. Requests for which no connection was
    left were not sent.
    """

    began_s: float
    seconds: float
    statuses: dict[int, int] = field(default_factory=dict)
    good_s: list[float] = field(default_factory=list)
    rejections_ms: list[float] = field(default_factory=list)
    late_s: float = 0.0
    broken: int = 0
    not_sent: int = 0

    @property
    def goodput(self) -> float:
        """Good answers a second, over the whole time of the flood."""
        until_s = self.began_s + self.seconds
        return sum(one <= until_s for one in self.good_s) / self.seconds

    @property
    def least_goodput(self) -> float:
        """The same over the worst window inside the flood."""
        length_s = min(WINDOW_S, self.seconds)
        last_s = self.began_s + self.seconds - length_s
        good_s = sorted(self.good_s)
        # The worst one begins as an answer has just come, or is the first or the last.
        begins_s = [self.began_s, *(one for one in good_s if one < last_s), last_s]
        return min(_between(good_s, begin_s, begin_s + length_s) for begin_s in begins_s) / length_s

    def count(self, answer: Answer) -> None:
        """One more answer."""
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        if answer.status == OK:
            self.good_s.append(answer.done_s)
        elif answer.status == BUSY:
            self.rejections_ms.append((answer.head_s - answer.sent_s) * 1000)


async def flood(url: str, request: bytes, *, per_second: float, seconds: float, connections: int) -> Flood:
    """Send so many requests a second for so long, over at most so many connections."""
    found = Flood(time.perf_counter(), seconds)
    free: deque[Connection | None] = deque([None] * connections)  # None is one that is not open yet

    async def one(connection: Connection | None) -> None:
        try:
            connection = connection or await Connection.open(url)
            found.count(await connection.send(request))
        except OSError:
            found.broken += 1
        free.append(None if connection is None or connection.closed else connection)

    async with asyncio.TaskGroup() as group:
        for number in range(int(per_second * seconds)):
            due_s = found.began_s + number / per_second
            if (early_s := due_s - time.perf_counter()) > 0:
                await asyncio.sleep(early_s)
            found.late_s = max(found.late_s, time.perf_counter() - due_s)
            if free:
                group.create_task(one(free.pop()))
            else:
                found.not_sent += 1
    for connection in free:
        if connection is not None:
            connection.close()
    return found


def _between(times_s: list[float], after_s: float, until_s: float) -> int:
    return bisect.bisect_right(times_s, until_s) - bisect.bisect_right(times_s, after_s)
