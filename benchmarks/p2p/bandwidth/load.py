"""`python -m benchmarks.p2p.bandwidth.load`: tfleet's own client classifies one image again and again.

It keeps a fixed number of calls in flight. It runs in the client's namespace and prints one line of
JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import time
from pathlib import Path
from typing import Final

from benchmarks.report.figures import rate
from tfleet.client import AsyncFleetClient, FleetError

IMAGE: Final = Path(__file__).parents[3] / "tests/data/cat.jpg"


@dataclasses.dataclass(frozen=True, slots=True)
class Sent:
    """Images a second, the number of images, the number of failures and the last error."""

    per_second: float
    answered: int
    failed: int
    error: str


def image_of(size: int) -> bytes:
    """A photograph, padded to this size."""
    return IMAGE.read_bytes().ljust(size, b"\0")


async def load(proxy: str, *, p2p: bool, image: bytes, calls: int, seconds: float) -> Sent:
    """Classify for this long. Calls in flight at the end are awaited, but not counted in the rate."""
    answered_s: list[float] = []
    failed, error = 0, ""
    began_s = time.perf_counter()
    until_s = began_s + seconds

    async with AsyncFleetClient(proxy, p2p=p2p, max_connections=4 * calls) as client:

        async def caller() -> None:
            nonlocal failed, error
            while time.perf_counter() < until_s:
                try:
                    await client.classify(image)
                except FleetError as failure:
                    failed, error = failed + 1, str(failure)
                else:
                    answered_s.append(time.perf_counter())

        async with asyncio.TaskGroup() as group:
            for _ in range(calls):
                group.create_task(caller())
    in_time_s = [time_s for time_s in answered_s if time_s < until_s]
    return Sent(rate(began_s, in_time_s), len(answered_s), failed, error)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--proxy", required=True)
    parser.add_argument("--p2p", action="store_true")
    parser.add_argument("--image-bytes", type=int, required=True)
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    image = image_of(options.image_bytes)
    sent = load(options.proxy, p2p=options.p2p, image=image, calls=options.calls, seconds=options.seconds)
    print(json.dumps(dataclasses.asdict(asyncio.run(sent))))


if __name__ == "__main__":
    main()
