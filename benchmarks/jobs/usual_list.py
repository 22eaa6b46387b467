"""The usual queue before a model: a list in Redis, read with LRANGE and cut with LTRIM, and sleeps.

As a program it is the side of the model: `REDIS_URL WORKER_URL`. It predicts with the same worker as ours.
"""

from __future__ import annotations

import base64
import contextlib
import json
import sys
import time
import uuid
from typing import Any, Final

from redis import Redis

from benchmarks.jobs.connection import Connection

SLEEP_S: Final = 0.25
"""Both sides sleep so long when there is nothing for them."""
_LIST: Final = "images"
_BATCH: Final = 32


class UsualList:
    """The side of the web server: it adds images, and looks for their answers."""

    def __init__(self, url: str) -> None:
        self._redis: Any = Redis.from_url(url)

    def add(self, body: bytes) -> str:
        """Add an image; returns its id."""
        image_id = str(uuid.uuid4())
        image = base64.b64encode(body).decode("ascii")
        self._redis.rpush(_LIST, json.dumps({"id": image_id, "image": image}))
        return image_id

    def call(self, body: bytes) -> bytes:
        """Add an image, and wait for its answer."""
        image_id = self.add(body)
        while True:
            answer: bytes | None = self._redis.get(image_id)
            if answer is not None:
                self._redis.delete(image_id)
                return answer
            time.sleep(SLEEP_S)

    def waiting(self) -> int:
        """How many images are in the list."""
        return int(self._redis.llen(_LIST))

    def answered(self, ids: list[str]) -> int:
        """How many of them have an answer."""
        return int(self._redis.exists(*ids))


def consume(url: str, worker: str) -> None:
    """Answer images for ever."""
    redis: Any = Redis.from_url(url)
    with Connection(worker) as connection:
        while True:
            images = redis.lrange(_LIST, 0, _BATCH - 1)
            for text in images:
                image = json.loads(text)
                _, answer = connection.post("/predict", base64.b64decode(image["image"]))
                redis.set(image["id"], answer)
            redis.ltrim(_LIST, len(images), -1)
            time.sleep(SLEEP_S)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        consume(*sys.argv[1:])
