"""Keeps up with one shard: who it is, what has been settled in it, and what is due.

A shard that can't be reached is tried again for ever. Its state goes to the log when it changes, and not with
each attempt.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from tfleet.jobs.counts import ShardReport, ShardStats
from tfleet.jobs.errors import JobsUnavailableError, UnsuitableRedisError
from tfleet.jobs.job_id import ShardIdentity
from tfleet.jobs.redis_check import check_redis, read_info, risks
from tfleet.jobs.shard import SETTLED_CHANNEL, Shard
from tfleet.jobs.waiters import Waiters
from tfleet.runtime.backoff import Backoff

EXPIRE_EVERY_S: Final = 1.0
_TIDY_EVERY_S: Final = 60.0
_LISTEN: Final = "listen"
_EXPIRE: Final = "expire"
_AGAIN: Final = Backoff(first_s=0.1, cap_s=5.0)


class ShardWatch:
    """One shard as a proxy sees it. `identity` is None until it has answered once."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.identity: ShardIdentity | None = None
        self.waiters = Waiters()
        self._stats: ShardStats | None = None
        self._tidy_at_s = 0.0
        self._rng = random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._log: Any = structlog.get_logger().bind(redis=str(shard.connection.url))
        self._failing: set[str] = set()
        """Which of the two endless tasks fail now: one may be refused what the other one needs not."""

    def __repr__(self) -> str:
        name = "unknown" if self.identity is None else self.identity.name
        return f"<ShardWatch {name} {'away' if self.away else 'there'} {self.waiters!r}>"

    @property
    def away(self) -> bool:
        """Whether it did not answer the last time."""
        return bool(self._failing)

    @property
    def report(self) -> ShardReport:
        """What is known of it, at most about a second old while it answers."""
        up = self._stats is not None and not self.away
        return ShardReport(str(self.shard.connection.url), up, self._stats)

    async def listen(self) -> None:
        """Learn who it is, then wake those whose jobs are settled. Endless."""
        await self._for_ever(_LISTEN, self._listen)

    async def expire(self) -> None:
        """Settle and forget what is due, and read the shard's figures, once a second; once a minute remove
        what is left of workers and versions that are gone. Endless. Any proxy may do it, and all of them do.
        """
        await self._for_ever(_EXPIRE, self._expire)

    async def known_identity(self) -> ShardIdentity:
        """Who it is; asks if that is not known yet. Raises JobsUnavailableError."""
        if self.identity is None:
            self.identity = await self.shard.identity()
        return self.identity

    def is_away(self, error: Exception, task: str = _EXPIRE) -> None:
        """It has not answered. It counts as away until it has answered the next look."""
        if not self.away:
            self._log.warning("jobs unavailable, retrying", error=str(error))
        self._failing.add(task)

    async def _listen(self) -> None:
        await self._look()
        async for job_id in self.shard.connection.published(SETTLED_CHANNEL):
            self._is_back(_LISTEN)
            if job_id is None:  # messages may have been lost before this
                self.waiters.wake_all()
            else:
                self.waiters.wake(job_id)

    async def _look(self) -> None:
        info = read_info(await self.shard.connection.command("INFO"))
        check_redis(info, str(self.shard.connection.url))
        if self.identity is None:
            for risk in risks(info):
                self._log.warning("jobs may be lost", why=risk)
        self.identity = await self.shard.identity()
        await self.shard.recount()

    async def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            more = await self.shard.expire()
            if loop.time() >= self._tidy_at_s:
                self._tidy_at_s = loop.time() + _TIDY_EVERY_S
                await self.shard.tidy()
            self._stats = await self.shard.stats()
            self._is_back(_EXPIRE)
            if not more:
                await asyncio.sleep(EXPIRE_EVERY_S)

    async def _for_ever(self, task: str, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        failures, loop = 0, asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            try:
                await step()
            except (JobsUnavailableError, UnsuitableRedisError) as error:
                failures = 1 if loop.time() - began_s > _AGAIN.cap_s else failures + 1
                self.is_away(error, task)
            await asyncio.sleep(_AGAIN.delay_s(max(failures, 1), self._rng))

    def _is_back(self, task: str) -> None:
        was_away = self.away
        self._failing.discard(task)
        if was_away and not self.away:
            self._log.info("jobs available again")
