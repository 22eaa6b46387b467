"""A steady load on a fleet of several versions: each answer is checked against the version that it names.

The model is that of tensor_models.write_version: an answer is the input times the version.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp

_MAX_IN_FLIGHT = 256
_MAX_BEHIND_S = 0.1
_HTTP_OK = 200


@dataclass
class Answers:
    """What came back: answers by version, and what was no right answer."""

    versions: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def percent(self, version: str) -> float:
        """The share of a version."""
        return 100 * self.versions[version] / self.versions.total()


class VersionLoad:
    """Sends `rate` rows a second to `path` inside the block, each with a number of its own."""

    def __init__(self, url: str, *, rate: float) -> None:
        self.answers = Answers()
        self._url = url
        self._period_s = 1 / rate
        self._sent = 0
        self._goal = 0
        self._reached = asyncio.Event()
        self._stop = asyncio.Event()
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> VersionLoad:
        timeout = aiohttp.ClientTimeout(total=30)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)
        await self._group.__aenter__()
        self._group.create_task(self._send_all())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._stop.set()
        await self._group.__aexit__(*exception)  # type: ignore[arg-type] # passed on as they come
        await self._session.close()

    async def next(self, requests: int) -> Answers:
        """The answers to the next so many requests, as soon as they have come."""
        self.answers = Answers(failures=self.answers.failures)
        self._goal = requests
        self._reached.clear()
        await self._reached.wait()
        return self.answers

    async def _send_all(self) -> None:
        due_s = time.monotonic()
        pending: set[asyncio.Task[None]] = set()
        while not self._stop.is_set():
            if len(pending) < _MAX_IN_FLIGHT:
                self._sent += 1
                task = self._group.create_task(self._send(self._sent, self.answers))
                pending.add(task)
                task.add_done_callback(pending.discard)
            due_s = max(due_s + self._period_s, time.monotonic() - _MAX_BEHIND_S)
            await asyncio.sleep(due_s - time.monotonic())

    async def _send(self, number: int, answers: Answers) -> None:
        """`answers` are those of the stage in which the request was sent."""
        try:
            async with self._session.post(self._url, json={"x": number}) as answer:
                document = await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            answers.failures.append(f"{type(error).__name__}: {error}")
            self._check_goal(answers)
            return
        version = answer.headers.get("X-Model", "").partition("/")[2]
        if answer.status != _HTTP_OK:
            answers.failures.append(f"{answer.status}: {document}")
        elif document["outputs"]["y"] != number * float(version):
            answers.failures.append(f"version {version} answered {document} to {number}")
        else:
            answers.versions[version] += 1
        self._check_goal(answers)

    def _check_goal(self, answers: Answers) -> None:
        """A fault ends the wait, too: the test looks at the failures next."""
        if (answers is self.answers and answers.versions.total() >= self._goal) or answers.failures:
            self._reached.set()
