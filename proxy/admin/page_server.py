"""The application of the proxy's own pages on a unix socket, which only this user can reach."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Final

from aiohttp import http_exceptions, web

from tfleet.contract.names import MAX_HEAD_BYTES

# The whole path of a unix socket has at most 108 bytes on Linux, and 104 on macOS, with a zero at its end.
_MAX_PATH_BYTES: Final = 103
_NAME: Final = "pages"
_SHORT_FOLDERS: Final = ("/tmp", "/var/tmp")  # noqa: S108 - what is made there gets a name of its own, and mode 0700
_BACKLOG: Final = 1024
# By then all that may finish has finished: what is left is broken off.
_SHUTDOWN_S: Final = 0.1
# httpd has checked the head already, by its own limits. Each of these is more than what it lets through.
_MAX_LINE_BYTES: Final = 2 * MAX_HEAD_BYTES
_MAX_FIELDS: Final = 256


class NoSocketFolderError(Exception):
    """There is no place for the unix socket. The message is one line that says what to set."""


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
    folder = await asyncio.to_thread(private_folder)
    try:
        await runner.setup()
        path = folder / _NAME
        await web.UnixSite(runner, path, backlog=_BACKLOG).start()
        yield path
    finally:
        await runner.cleanup()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _library_log() -> logging.Logger:
    """Where aiohttp reports errors. A client's bad requests are none: PageRequest logs their refusal."""
    log = logging.getLogger("tfleet.proxy.pages")
    log.addFilter(_is_no_bad_request)
    return log


def _is_no_bad_request(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, http_exceptions.HttpProcessingError)


def private_folder(candidates: Iterable[str] | None = None) -> Path:
    """A new folder of mode 0700, for a socket: in the first of the candidates where its path is short enough.

    Raises NoSocketFolderError.
    """
    reasons = []
    for parent in candidates if candidates is not None else _candidates():
        try:
            folder = Path(tempfile.mkdtemp(prefix="tfleet-", dir=parent))
        except OSError as error:
            reasons.append(f"{parent}: {(error.strerror or str(error)).lower()}")
            continue
        if len(os.fsencode(folder / _NAME)) <= _MAX_PATH_BYTES:
            return folder
        folder.rmdir()
        reasons.append(f"{parent}: its path is too long")
    raise NoSocketFolderError(
        f"no folder for a unix socket ({'; '.join(reasons)}): set TMPDIR to one that is short and writable"
    )


def _candidates() -> Iterable[str]:
    with contextlib.suppress(OSError):  # no usable folder at all
        yield tempfile.gettempdir()
    yield from _SHORT_FOLDERS
