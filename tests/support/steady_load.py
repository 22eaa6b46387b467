"""A steady load: images at a constant rate, each one of its own, each answer checked against its image."""

from __future__ import annotations

import asyncio
import io
import json
import math
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import aiohttp
from PIL import Image

_TOLERANCE = 0.02
# On a machine that is too slow for a rate, or stalls, the load is what the machine can do: a turn is left out
# while so many wait for their answers, twice as many as any fault holds up, and what was missed is not made
# up for.
_MAX_IN_FLIGHT = 256
_MAX_BEHIND_S = 0.1
_SHARPNESS = 10.0  # that of tests.support.graphs.pixel_graph


@dataclass
class Tally:
    """What became of the requests of a load."""

    sent: int = 0
    right: int = 0
    refused: int = 0
    failures: list[str] = field(default_factory=list)
    retries: int = 0
    workers: Counter[str] = field(default_factory=Counter)
    slowest_ms: float = 0.0

    def __repr__(self) -> str:
        return (
            f"<Tally sent={self.sent} right={self.right} refused={self.refused} failed={len(self.failures)} "
            f"retries={self.retries} workers={len(self.workers)} slowest={self.slowest_ms:.0f} ms>"
        )

    @property
    def in_flight(self) -> int:
        """How many wait for their answer."""
        return self.sent - self.right - self.refused - len(self.failures)

    @property
    def faultless(self) -> bool:
        """Whether each request got its own image's answer, but for those that were never begun."""
        return self.right == self.sent - self.refused > 0


@dataclass(frozen=True)
class Answer:
    """The part of an answer that a load looks at."""

    shares: Mapping[str, float]
    worker: str
    retries: int


class NoAnswerError(Exception):
    """What came back instead of an answer; a failure, unless the request was `refused` when it may be."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


def picture(rng: random.Random, size: int = 16, kind: str = "PNG") -> tuple[bytes, list[float]]:
    """A picture of one random colour, and what `pixel_graph` says of it: shares of red, green and blue."""
    colour = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
    encoded = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(encoded, kind)
    powers = [math.exp(_SHARPNESS * channel / 255) for channel in colour]
    return encoded.getvalue(), [power / sum(powers) for power in powers]


class SteadyLoad:
    """Sends `rate` images a second from `async with` on; `sent` waits until at least so many were sent."""

    def __init__(self, url: str, *, rate: float, timeout_s: float = 30.0, seed: int = 0) -> None:
        self.tally = Tally()
        self.held = Tally()
        """Of the requests that were held in the middle of their body."""
        self.may_be_refused = False
        """From here on nobody need listen any more: a connection that is refused is no failure."""
        self._url = url
        self._period_s = 1 / rate
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._rng = random.Random(seed)
        self._stop = asyncio.Event()
        self._let_go = asyncio.Event()
        self._goal = 0
        self._reached = asyncio.Event()
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> SteadyLoad:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=self._timeout)
        await self._group.__aenter__()
        self._group.create_task(self._send_all())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._stop.set()
        self._let_go.set()
        await self._group.__aexit__(*exception)  # type: ignore[arg-type] # passed on as they come
        await self._session.close()

    @property
    def in_flight(self) -> int:
        """How many requests wait for their answer, held ones included."""
        return self.tally.in_flight + self.held.in_flight

    async def sent(self, requests: int) -> None:
        """Wait until so many have been sent since the beginning."""
        self._goal = requests
        self._reached.clear()
        await self._reached.wait()

    def hold(self, requests: int) -> None:
        """Send so many larger images beside the others, each only to the middle of its body."""
        self.held.sent += requests
        for _ in range(requests):
            image, expected = picture(self._rng, 256, "BMP")
            self._group.create_task(self._send(self.held, image, expected, self._let_go))

    def let_go(self) -> None:
        """Send the rest of what is held."""
        self._let_go.set()

    async def classify(self, image: bytes, held: asyncio.Event | None) -> Answer:
        """Get one image's answer. Raises NoAnswerError."""
        headers = {"Content-Type": "image/png", "Content-Length": str(len(image))}
        data = image if held is None else _in_halves(image, held)
        try:
            async with self._session.post(self._url, data=data, headers=headers) as answer:
                text = await answer.text()
        except aiohttp.ClientConnectorError as error:
            raise NoAnswerError(f"not connected: {error}", refused=True) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NoAnswerError(f"{type(error).__name__}: {error}") from error
        if answer.status != 200:
            raise NoAnswerError(f"{answer.status}: {text[:300]}")
        retries = int(answer.headers.get("X-Retries", 0))
        return Answer(dict(json.loads(text)), answer.headers.get("X-Worker", "nobody"), retries)

    async def _send_all(self) -> None:
        due_s = time.monotonic()
        while not self._stop.is_set():
            if self.tally.in_flight < _MAX_IN_FLIGHT:
                self.tally.sent += 1
                if self.tally.sent >= self._goal:
                    self._reached.set()
                self._group.create_task(self._send(self.tally, *picture(self._rng), None))
            due_s = max(due_s + self._period_s, time.monotonic() - _MAX_BEHIND_S)
            await asyncio.sleep(due_s - time.monotonic())

    async def _send(
        self, tally: Tally, image: bytes, expected: list[float], held: asyncio.Event | None
    ) -> None:
        began_s = time.perf_counter()
        try:
            answer = await self.classify(image, held)
        except NoAnswerError as error:
            if error.refused and self.may_be_refused:
                tally.refused += 1
            else:
                tally.failures.append(str(error))
        else:
            _judge(tally, answer, expected)
        tally.slowest_ms = max(tally.slowest_ms, (time.perf_counter() - began_s) * 1000)


def _judge(tally: Tally, answer: Answer, expected: list[float]) -> None:
    tally.retries += answer.retries
    tally.workers[answer.worker] += 1
    shares = [answer.shares.get(colour, math.nan) for colour in ("red", "green", "blue")]
    if all(abs(one - other) < _TOLERANCE for one, other in zip(shares, expected, strict=True)):
        tally.right += 1
    else:
        tally.failures.append(f"the answer of another image: {shares}, not {expected}")


async def _in_halves(image: bytes, held: asyncio.Event) -> AsyncIterator[bytes]:
    yield image[: len(image) // 2]
    await held.wait()
    yield image[len(image) // 2 :]
