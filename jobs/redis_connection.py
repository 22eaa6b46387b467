"""Connections to one Redis: commands and scripts, with its errors as ours.

Rules:
- A command that breaks off with its connection is sent once more, over a new one. After a restart of Redis
  every kept connection is broken. So each script may be sent twice.
- What does not answer within `TIMEOUT_S` is unavailable. The wait for a connection counts: a Redis that hangs
  keeps each caller for so long, however many there are.
- A read that waits (`wait_for_entries`) has a time limit of its own: the usual one would end it.
- Only connect.py imports this module, where there are jobs: the library is an extra.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, OutOfMemoryError, RedisError

from tfleet.jobs.errors import JobsUnavailableError, NoGroupError, RedisFullError
from tfleet.jobs.redis_url import RedisUrl
from tfleet.jobs.scripts.script import GROUP, Script

TIMEOUT_S: Final = 5.0
_CONNECT_TIMEOUT_S: Final = 2.0
_AT_ONCE: Final = 32
_GRACE_S: Final = 3.0
"""How much later than it was asked to a waiting read may answer."""

Argument: TypeAlias = str | bytes | int


class RedisConnection:
    """The connections of one event loop to one Redis. `prefix` begins all keys of a service."""

    def __init__(self, url: RedisUrl, service: str) -> None:
        self.url = url
        self.prefix = f"{{tfleet:{service}}}:"
        self._redis = _redis(url)
        self._turns = asyncio.Semaphore(_AT_ONCE)
        """For all but the reads that wait. The library's pool raises when it has no connection left."""

    def __repr__(self) -> str:
        return f"<RedisConnection {self.url}>"

    async def run(self, script: Script, *arguments: Argument) -> Any:
        """Run a script. Raises JobsUnavailableError."""
        return await self._limited(lambda: self._in_turn(lambda: self._run(script, arguments)))

    async def command(self, *parts: Argument) -> Any:
        """Send one command. Raises JobsUnavailableError."""
        send = _untyped(self._redis.execute_command)
        return await self._limited(lambda: self._in_turn(lambda: send(*parts)))

    async def wait_for_entries(
        self, stream: str, worker: str, *, count: int, wait_ms: int
    ) -> list[tuple[str, str]]:
        """Read up to `count` new entries of a stream for this worker: entry and job id of each. Waits for the
        first up to `wait_ms`. Raises JobsUnavailableError, NoGroupError where the stream was removed.
        """
        key = self.prefix + stream
        reply = await self._limited(
            lambda: self._read(key, worker, count, wait_ms), wait_ms / 1000 + _GRACE_S
        )
        entries = reply[0][1] if reply else []
        # A deleted entry has no fields.
        return [(_text(entry), _text(fields[1])) for entry, fields in entries if fields]

    async def published(self, channel: str) -> AsyncIterator[str | None]:
        """Each message of a channel; None whenever the subscription begins anew, as messages may be missing
        before it. Raises JobsUnavailableError.
        """
        pubsub = self._redis.pubsub()
        try:
            await self._limited(lambda: pubsub.subscribe(self.prefix + channel))
            while True:
                message = await self._mapped(pubsub.get_message(timeout=None))
                if message is None:
                    continue
                if message["type"] == "subscribe":
                    yield None
                elif message["type"] == "message":
                    yield _text(message["data"])
        finally:
            await _untyped(pubsub.aclose)()

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()

    async def _in_turn(self, call: Callable[[], Awaitable[Any]]) -> Any:
        async with self._turns:
            return await call()

    async def _run(self, script: Script, arguments: Sequence[Argument]) -> Any:
        try:
            return await _awaitable(self._redis.evalsha(script.sha, 1, self.prefix, *arguments))
        except NoScriptError:  # Redis has restarted, or has never seen it
            return await _awaitable(self._redis.eval(script.text, 1, self.prefix, *arguments))

    async def _read(self, key: str, worker: str, count: int, wait_ms: int) -> Any:
        connection = await _untyped(self._redis.connection_pool.get_connection)()
        try:
            await connection.send_command(
                *("XREADGROUP", "GROUP", GROUP, worker, "COUNT", count, "BLOCK", wait_ms),
                *("STREAMS", key, ">"),
            )
            return await connection.read_response()
        except BaseException:
            # Its answer may still come, and must not be taken for that of the next command.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await self._redis.connection_pool.release(connection)

    async def _limited(self, call: Callable[[], Awaitable[Any]], limit_s: float = TIMEOUT_S) -> Any:
        async def within_limit() -> Any:
            async with asyncio.timeout(limit_s):
                return await call()

        return await self._mapped(within_limit())

    async def _mapped(self, call: Awaitable[Any]) -> Any:
        try:
            return await call
        except (RedisError, OSError, TimeoutError) as error:
            said = str(error).partition("\n")[0].rstrip(".")
            why = said or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
            text = f"the Redis at {self.url} fails: {why}"
            if isinstance(error, OutOfMemoryError):
                raise RedisFullError(text) from error
            gone = why.startswith(("NOGROUP", "UNBLOCKED"))  # the latter to a read that was waiting
            raise (NoGroupError if gone else JobsUnavailableError)(text) from error


def _redis(url: RedisUrl) -> Redis:
    """A client of redis-py."""
    # A peer that has vanished is noticed by a subscription, which only reads, in half a minute.
    times = {socket.TCP_KEEPIDLE: 15, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}
    keep_alive: dict[str, Any] = {"socket_keepalive": True, "socket_keepalive_options": times}
    client = Redis.from_url(
        url.text,
        **({} if url.is_unix else keep_alive),
        # Time limits are ours. With its own one the library sends by asyncio.wait_for, and Python 3.11
        # may swallow the cancellation of a task there, which then never ends.
        socket_timeout=None,
        socket_connect_timeout=_CONNECT_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
        protocol=2,
        driver_info=None,  # to look its own version up it reads files, while the event loop waits
    )
    # Replies as Redis gives them: the library takes a long XPENDING for a short one, and fails.
    client.response_callbacks.clear()
    return client


async def _awaitable(call: Any) -> Any:
    """redis-py types its commands for both of its clients."""
    return await call


def _untyped(function: Any) -> Any:
    """redis-py has no types for some of its functions."""
    return function


def _text(value: bytes) -> str:
    """What others have written need not be UTF-8, and is no id then."""
    return value.decode("utf-8", "replace")
