"""A steady load on a fleet of several versions: each answer is checked against the version that it names.

The model is that of tensor_models.write_version: an answer is the input times the version.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import aiohttp

from tfleet.client import AsyncFleetClient, FleetError
from tfleet.contract.names import MODEL

_MAX_IN_FLIGHT = 256
_MAX_BEHIND_S = 0.1
_TIMEOUT_S = 30.0
_HTTP_OK = 200


class Reply(NamedTuple):
    """What an answer says: its `name/version`, and the input times the version."""

    model: str
    y: float


class NoReplyError(Exception):
    """A request got no answer, or one with another status than 200.

    With `told` the server has said so, by a status or by not being there: the client may ask elsewhere.
    """

    def __init__(self, message: str, *, told: bool = False) -> None:
        super().__init__(message)
        self.told = told


@dataclass
class Answers:
    """What came back: right answers by version, and what was no right answer.

    `failed` counts the failures of this stage; `failures` has the texts of all stages.
    """

    versions: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    failed: int = 0
    slowest_s: float = 0.0

    @property
    def total(self) -> int:
        """How many requests have ended."""
        return self.versions.total() + self.failed

    def percent(self, version: str) -> float:
        """The share of a version."""
        return 100 * self.versions[version] / max(1, self.versions.total())


class VersionLoad:
    """Sends `rate` rows a second to `url` inside the block, each with a number of its own.

    Each answer has to be of `model`.
    """

    def __init__(self, url: str, *, rate: float, model: str = "m") -> None:
        self.answers = Answers()
        self._url = url
        self._model = model
        self._period_s = 1 / rate
        self._sent = 0
        self._goal = 0
        self._reached = asyncio.Event()
        self._stop = asyncio.Event()
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)
        await self._group.__aenter__()
        self._group.create_task(self._send_all())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._stop.set()
        await self._group.__aexit__(*exception)  # type: ignore[arg-type] # passed on as they come
        await self.session.close()

    async def next(self, requests: int) -> Answers:
        """The answers to the next so many requests, as soon as they have come."""
        self.answers = Answers(failures=self.answers.failures)
        self._goal = requests
        self._reached.clear()
        await self._reached.wait()
        return self.answers

    def headers(self, number: int) -> Mapping[str, str]:
        """The headers of a request, for the kinds of load that have some."""
        return {}

    async def ask(self, number: int) -> Reply:
        """Send one request. Raises NoReplyError."""
        return await self.post(self._url, number)

    async def post(self, url: str, number: int, headers: Mapping[str, str] | None = None) -> Reply:
        """What is answered there. Raises NoReplyError."""
        try:
            sent = headers or self.headers(number)
            async with self.session.post(url, json={"x": number}, headers=sent) as answer:
                document = await answer.json()
        except aiohttp.ClientConnectorError as error:
            raise NoReplyError(f"not connected: {error}", told=True) from error
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise NoReplyError(f"{type(error).__name__}: {error}") from error
        if answer.status != _HTTP_OK:
            raise NoReplyError(f"{answer.status}: {document}", told=True)
        return Reply(answer.headers.get(MODEL, ""), document["outputs"]["y"])

    def answered(self, number: int, version: str) -> None:
        """A right answer came; for the kinds of load that note more."""

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
        began_s = time.monotonic()
        try:
            reply = await self.ask(number)
        except NoReplyError as error:
            _fail(answers, str(error))
        else:
            model, _, version = reply.model.partition("/")
            if model != self._model or reply.y != number * float(version):
                _fail(answers, f"{reply.model} answered {reply.y} to {number}")
            else:
                answers.versions[version] += 1
                self.answered(number, version)
        answers.slowest_s = max(answers.slowest_s, time.monotonic() - began_s)
        if answers is self.answers and answers.total >= self._goal:
            self._reached.set()


def _fail(answers: Answers, failure: str) -> None:
    answers.failed += 1
    answers.failures.append(failure)


class StickyLoad(VersionLoad):
    """Requests of so many sessions in turn, named in a header; `seen` has the versions of each in order."""

    HEADER = "X-Session"

    def __init__(self, url: str, *, rate: float, sessions: int) -> None:
        super().__init__(url, rate=rate)
        self.seen: dict[int, list[str]] = {}
        self._sessions = sessions

    def headers(self, number: int) -> Mapping[str, str]:
        return {self.HEADER: f"session-{number % self._sessions}"}

    def answered(self, number: int, version: str) -> None:
        self.seen.setdefault(number % self._sessions, []).append(version)


class ClientLoad(VersionLoad):
    """The same by the client that programs use."""

    def __init__(self, client: AsyncFleetClient, *, rate: float, model: str = "m") -> None:
        super().__init__("", rate=rate, model=model)
        self.retries = 0
        self._client = client

    async def ask(self, number: int) -> Reply:
        try:
            found = await self._client.predict({"x": number})
        except FleetError as error:
            raise NoReplyError(f"{type(error).__name__}: {error}") from error
        self.retries += found.retries
        return Reply(found.model, found.outputs["y"])


class TwoStepLoad(VersionLoad):
    """A client without a library: it asks for a worker's address, and keeps it until that worker refuses.

    `told` counts how often a worker refused, or was not there any more.
    """

    def __init__(self, proxy: str, *, rate: float) -> None:
        super().__init__(proxy, rate=rate)
        self.told = 0
        self._kept: asyncio.Queue[str] = asyncio.Queue()

    async def ask(self, number: int) -> Reply:
        while not self._kept.empty():
            address = self._kept.get_nowait()
            try:
                reply = await self.post(f"http://{address}/predict", number)
            except NoReplyError as error:
                if not error.told:
                    raise
                self.told += 1
            else:
                self._kept.put_nowait(address)
                return reply
        async with self.session.get(f"{self._url}/worker") as answer:
            address = (await answer.text()).strip()
        reply = await self.post(f"http://{address}/predict", number)
        self._kept.put_nowait(address)
        return reply
