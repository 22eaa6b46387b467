"""A steady load: images at a constant rate, each one of its own, each answer checked against its image."""

from __future__ import annotations

import asyncio
import io
import json
import math
import random
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp
from PIL import Image

_TOLERANCE = 0.02
_SHARPNESS = 10.0  # that of tests.worker.model.graphs.pixel_graph


@dataclass
class Tally:
    """What became of the requests of a load."""

    sent: int = 0
    right: int = 0
    failures: list[str] = field(default_factory=list)
    retries: int = 0
    workers: Counter[str] = field(default_factory=Counter)
    slowest_ms: float = 0.0

    def __repr__(self) -> str:
        return (
            f"<Tally sent={self.sent} right={self.right} failed={len(self.failures)} retries={self.retries} "
            f"workers={len(self.workers)} slowest={self.slowest_ms:.0f} ms>"
        )

    @property
    def faultless(self) -> bool:
        """Whether each request got its own image's answer."""
        return self.right == self.sent > 0


def picture(rng: random.Random) -> tuple[bytes, list[float]]:
    """A picture of one random colour, and what `pixel_graph` says of it: shares of red, green and blue."""
    colour = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
    encoded = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(encoded, "PNG")
    powers = [math.exp(_SHARPNESS * channel / 255) for channel in colour]
    return encoded.getvalue(), [power / sum(powers) for power in powers]


class SteadyLoad:
    """Sends `rate` images a second from `async with` on; `finish` waits until at least so many were sent."""

    def __init__(self, url: str, *, rate: float, timeout_s: float = 30.0, seed: int = 0) -> None:
        self.tally = Tally()
        self._url = url
        self._period_s = 1 / rate
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._rng = random.Random(seed)
        self._stop = asyncio.Event()
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
        await self._group.__aexit__(*exception)  # type: ignore[arg-type] # passed on as they come
        await self._session.close()

    async def sent(self, requests: int) -> None:
        """Wait until so many have been sent since the beginning."""
        self._goal = requests
        self._reached.clear()
        await self._reached.wait()

    async def _send_all(self) -> None:
        due_s = time.monotonic()
        while not self._stop.is_set():
            self.tally.sent += 1
            if self.tally.sent >= self._goal:
                self._reached.set()
            self._group.create_task(self._send(*picture(self._rng)))
            due_s += self._period_s
            await asyncio.sleep(due_s - time.monotonic())

    async def _send(self, image: bytes, expected: list[float]) -> None:
        began_s = time.perf_counter()
        try:
            headers = {"Content-Type": "image/png"}
            async with self._session.post(self._url, data=image, headers=headers) as answer:
                text = await answer.text()
                self._judge(answer, text, expected)
        except (aiohttp.ClientError, TimeoutError) as error:
            self.tally.failures.append(f"{type(error).__name__}: {error}")
        self.tally.slowest_ms = max(self.tally.slowest_ms, (time.perf_counter() - began_s) * 1000)

    def _judge(self, answer: aiohttp.ClientResponse, text: str, expected: list[float]) -> None:
        self.tally.retries += int(answer.headers.get("X-Retries", 0))
        self.tally.workers[answer.headers.get("X-Worker", "nobody")] += 1
        if answer.status != 200:
            self.tally.failures.append(f"{answer.status}: {text[:300]}")
            return
        found = dict(json.loads(text))
        shares = [found.get(colour, math.nan) for colour in ("red", "green", "blue")]
        if all(abs(one - other) < _TOLERANCE for one, other in zip(shares, expected, strict=True)):
            self.tally.right += 1
        else:
            self.tally.failures.append(f"the answer of another image: {shares}, not {expected}")
