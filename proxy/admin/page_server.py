"""The application of the proxy's own pages on a unix socket, which only this user can reach."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Final

from aiohttp import web

# The whole path of a unix socket has at most 108 bytes on Linux, and 104 on macOS, with a zero at its end.
_MAX_PATH_BYTES: Final = 103
_NAME: Final = "pages"
_SHORT_FOLDERS: Final = ("/tmp", "/var/tmp")  # noqa: S108 - what is made there gets a name of its own, and mode 0700
_BACKLOG: Final = 1024
# By then all that may finish has finished: what is left is broken off.
_SHUTDOWN_S: Final = 0.1


class NoSocketFolderError(Exception):
    """There is no place for the unix socket. The message is one line that says what to set."""


@contextlib.asynccontextmanager
async def page_server(app: web.Application) -> AsyncIterator[Path]:
    """Serves the application inside the block, at the unix socket whose path this gives.

    Raises NoSocketFolderError.
    """
    # handler_cancellation: a client that has left waits for no answer.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S)
    folder = await asyncio.to_thread(private_folder)
    try:
        await runner.setup()
        path = folder / _NAME
        await web.UnixSite(runner, path, backlog=_BACKLOG).start()
        yield path
    finally:
        await runner.cleanup()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


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
