"""Runs the queue of jobs and its application, and says which requests are for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from tfleet.contract.ticket_keys import KeyFile
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.interfaces import Client, Handler, OpenRequest
from tfleet.httpd.listen import CannotListenError
from tfleet.jobs.connect import shards_of
from tfleet.jobs.sharded_queue import ShardedQueue
from tfleet.proxy.admin.page_request import PageForwarder, PageLimits
from tfleet.proxy.admin.page_server import page_server
from tfleet.proxy.admin.socket_folder import NoSocketFolderError
from tfleet.proxy.balancing.model_router import ModelRouter
from tfleet.proxy.jobs.answer_room import AnswerRoom
from tfleet.proxy.jobs.app import JobPages, make_jobs_app
from tfleet.proxy.jobs.callbacks import AllowedUrl, CallbackSender
from tfleet.proxy.jobs.collector import JobCollector
from tfleet.proxy.jobs.room import BodyRoom, WaitingPlaces
from tfleet.proxy.jobs.submission import MAX_TIMEOUT_MS, is_prediction, is_queued, jobs_path
from tfleet.proxy.jobs.target import JobTargets
from tfleet.proxy.settings import JobSettings, ProxySettings
from tfleet.proxy.telemetry.access_log import AccessLog
from tfleet.proxy.upstream.connection_pool import WorkerConnections

_MARGIN_S: Final = 15.0
"""For Redis that answers late, on top of the time that a caller waits."""
_BODIES: Final = 4
"""Of the largest bodies so many may be on their way to Redis at once. As much is for answers from there."""
_POST: Final = b"POST"
_RELOAD_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class ServedJobs:
    """`handler` answers the requests that are for jobs. `tasks` have to run meanwhile. `metrics` are those of
    the queue.
    """

    handler: Handler
    metrics: JobCollector
    tasks: list[Callable[[], Coroutine[Any, Any, None]]]


@contextlib.asynccontextmanager
async def serving_jobs(
    settings: ProxySettings,
    jobs: JobSettings,
    router: ModelRouter,
    connections: WorkerConnections,
    access_log: AccessLog,
) -> AsyncIterator[ServedJobs]:
    """Serve jobs inside the block. Raises CannotListenError."""
    limits = settings.limits
    queue = ShardedQueue(shards_of(jobs.redis, settings.discovery.service), jobs.limits)
    allowed = tuple(map(AllowedUrl.parse, jobs.callbacks))
    pages = JobPages(
        queue,
        JobTargets(router),
        jobs.times,
        int(limits.timeout_s * 1000),
        WaitingPlaces(jobs.most_waiting),
        BodyRoom(_BODIES * limits.max_body_bytes),
        AnswerRoom(_BODIES * limits.max_body_bytes, limits.client_timeout_s),
        allowed,
    )
    app = make_jobs_app(
        pages,
        access_log,
        settings.cors,
        max_body_bytes=limits.max_body_bytes,
        lists=settings.listen.admin is None,
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(queue.close)
        try:
            socket = await stack.enter_async_context(page_server(app))
        except NoSocketFolderError as error:
            raise CannotListenError(str(error)) from error
        timeout_s = MAX_TIMEOUT_MS / 1000 + _MARGIN_S  # the application has shorter ones
        page_limits = PageLimits(limits.max_body_bytes, timeout_s, limits.client_timeout_s)
        forwarder = PageForwarder(
            socket, connections, page_limits, access_log, settings.cors, asyncio.get_running_loop()
        )
        tasks = queue.tasks
        if jobs.callback_key_file is not None:
            keys = await asyncio.to_thread(KeyFile, jobs.callback_key_file)
            session = await stack.enter_async_context(
                aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
            )
            tasks += _callback_tasks(queue, session, keys, allowed)
        yield ServedJobs(forwarder, JobCollector(lambda: queue.reports), tasks)


def _callback_tasks(
    queue: ShardedQueue,
    session: aiohttp.ClientSession,
    keys: KeyFile,
    allowed: Sequence[AllowedUrl],
) -> list[Callable[[], Coroutine[Any, Any, None]]]:
    """What sends callbacks, and reads the keys again when their file changes."""

    async def reload() -> None:
        while True:
            await asyncio.sleep(_RELOAD_EVERY_S)
            await asyncio.to_thread(keys.current)

    senders = [CallbackSender(shard, session, lambda: keys.keys, allowed) for shard in queue.shards]
    return [reload, *(sender.run for sender in senders)]


def jobs_or(jobs: Handler, otherwise: Handler) -> Handler:
    """`jobs` for requests that are about jobs or go through their queue, `otherwise` for all others."""

    def handle(head: RequestHead, client: Client) -> OpenRequest | None:
        path, _, query = head.target.partition(b"?")
        if jobs_path(path) or (query and head.method == _POST and is_queued(query) and is_prediction(path)):
            return jobs(head, client)
        return otherwise(head, client)

    return handle
