"""The application of the proxy's own pages on a unix socket, which only this user can reach."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import structlog
from aiohttp import http_exceptions, web

from tfleet.contract.names import MAX_HEAD_BYTES
from tfleet.proxy.admin.socket_folder import make_folder_again, new_socket_path, remove_left_behind

_BACKLOG: Final = 1024
# The clients' connections have drained by then: aiohttp aborts what is left.
_SHUTDOWN_S: Final = 0.1
# httpd has checked the head already, by its own limits. Each of these is more than what it lets through.
_MAX_LINE_BYTES: Final = 2 * MAX_HEAD_BYTES
_MAX_FIELDS: Final = 256
_LOOK_EVERY_S: Final = 1.0
_LOG_EVERY_S: Final = 60.0


@contextlib.asynccontextmanager
async def page_server(app: web.Application) -> AsyncIterator[Path]:
    """Serves the application inside the block, at the unix socket whose path this gives.

    Raises NoSocketFolderError.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_library_log(),
        handler_cancellation=True,  # a client that has left waits for no answer
        auto_decompress=False,  # a few bytes may be very many when they are unpacked, and no page reads them
        max_line_size=_MAX_LINE_BYTES,
        max_field_size=_MAX_LINE_BYTES,
        max_headers=_MAX_FIELDS,
        shutdown_timeout=_SHUTDOWN_S,
    )
    path = await asyncio.to_thread(_new_path)
    try:
        await runner.setup()
        site = await _listen(runner, path)
        watch = asyncio.create_task(_listen_again(runner, site, path))
        try:
            yield path
        finally:
            watch.cancel()
            await asyncio.wait([watch])
    finally:
        await runner.cleanup()
        await asyncio.to_thread(shutil.rmtree, path.parent, ignore_errors=True)


def _new_path() -> Path:
    path = new_socket_path()
    remove_left_behind(path.parent.parent, time.time())
    return path


async def _listen(runner: web.AppRunner, path: Path) -> web.UnixSite:
    site = web.UnixSite(runner, path, backlog=_BACKLOG)
    await site.start()
    return site


async def _listen_again(runner: web.AppRunner, site: web.UnixSite | None, path: Path) -> None:
    """Listen anew whenever the socket's file has gone, as with a job that empties /tmp."""
    log: Any = structlog.get_logger()
    log_at_s = 0.0
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        try:
            if await asyncio.to_thread(path.is_socket):
                continue
            if site is not None:
                await site.stop()
                site = None
            await asyncio.to_thread(make_folder_again, path)
            site = await _listen(runner, path)
        except OSError as error:
            if time.monotonic() >= log_at_s:
                log_at_s = time.monotonic() + _LOG_EVERY_S
                log.error(
                    "the socket of the proxy's own pages has gone: restart the proxy if this goes on",
                    path=str(path),
                    error=str(error),
                )
        else:
            log.warning(
                "the socket of the proxy's own pages had gone: it is there again. Exclude it from clean-ups",
                path=str(path),
            )


def _library_log() -> logging.Logger:
    """The logger of aiohttp's errors, without clients' bad requests: PageRequest logs their rejection."""
    log = logging.getLogger("tfleet.proxy.pages")
    log.addFilter(_is_no_bad_request)
    return log


def _is_no_bad_request(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, http_exceptions.HttpProcessingError)
