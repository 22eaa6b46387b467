"""Opens connections to the Redis of `--jobs`, and imports the library for it: it is an extra."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from tfleet.jobs.errors import NoRedisLibraryError
from tfleet.jobs.redis_url import RedisUrl
from tfleet.jobs.shard import Shard

_MODULE = "tfleet.jobs.redis_connection"


def require_redis_library() -> None:
    """Import it, which reads files: not in an event loop. Raises NoRedisLibraryError."""
    try:
        importlib.import_module("redis.asyncio")
    except ImportError as error:
        raise NoRedisLibraryError from error
    importlib.import_module(_MODULE)


def shards_of(urls: Sequence[RedisUrl], service: str) -> tuple[Shard, ...]:
    """The shards of a service. Nothing is connected yet. `require_redis_library` was called before."""
    connection = importlib.import_module(_MODULE).RedisConnection
    return tuple(Shard(connection(url, service)) for url in urls)
