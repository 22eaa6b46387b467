"""The child side of a decoder process, which a worker starts, kills and replaces."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from traceback import extract_tb
from typing import Any, Final, TypeAlias

from tfleet.worker.decoders.limits import DecoderSettings
from tfleet.worker.decoders.messages import receive, send

Answer: TypeAlias = tuple[Mapping[str, Any], bytes]
Function: TypeAlias = Callable[[Mapping[str, Any], bytes], Answer]
"""Takes a job's arguments and body, and returns an answer that JSON can hold and a body."""

_KILLED_FIRST: Final = "1000"
"""The highest oom_score_adj: where memory is short the kernel kills a decoder before any worker."""
_MAX_BODY_BYTES: Final = 1 << 40  # the worker is trusted, and enforces the real limit
_MAX_MESSAGE_CHARS: Final = 1000


def serve(functions: Mapping[str, Function], *, expected: tuple[type[Exception], ...] = ()) -> None:
    """Answer jobs until the worker closes the connection or ends. Called by the program that a pool starts.

    An exception of a function is sent as an answer, see `DecodeOutcome`. Exceptions that are not in
    `expected` are marked as unexpected. Exits with a message if the command line is not a worker's.
    """
    try:
        settings = DecoderSettings.parse(sys.argv[1:])
    except (ValueError, TypeError):
        sys.exit("this program is started by a worker, not by hand")
    _end_with_worker(settings.lifeline)
    _limit(settings)
    with socket.socket(fileno=settings.socket) as connection, suppress(EOFError, OSError):
        send(connection, {"ready": True})
        while True:
            _answer_one_job(connection, functions, expected)


def _answer_one_job(
    connection: socket.socket, functions: Mapping[str, Function], expected: tuple[type[Exception], ...]
) -> None:
    # A function of its own: its local variables, some megabytes, are freed before the wait for the next job.
    job, body = receive(connection, max_bytes=_MAX_BODY_BYTES)
    header, answer = _answer(functions[job["name"]], job["arguments"], body, expected)
    send(connection, header, answer)


def _answer(
    function: Function, arguments: Mapping[str, Any], body: bytes, expected: tuple[type[Exception], ...]
) -> Answer:
    try:
        return function(arguments, body)
    except MemoryError:
        return {"error": "MemoryError", "message": "the decoder has too little memory"}, b""
    except expected as error:
        return _error(error), b""
    except Exception as error:
        return {**_error(error), "unexpected": True, "where": _where(error)}, b""


def _error(error: Exception) -> dict[str, Any]:
    return {"error": type(error).__name__, "message": str(error)[:_MAX_MESSAGE_CHARS]}


def _where(error: Exception) -> str:
    frame = extract_tb(error.__traceback__)[-1]
    return f"{frame.filename}:{frame.lineno} in {frame.name}"


def _limit(settings: DecoderSettings) -> None:
    os.nice(settings.nice)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(ValueError, OSError):  # the limit is lower already, or this is macOS, which has none
        resource.setrlimit(resource.RLIMIT_AS, (settings.address_space_bytes,) * 2)
    with suppress(OSError):  # only Linux has it
        Path("/proc/self/oom_score_adj").write_text(_KILLED_FIRST)


def _end_with_worker(lifeline: int) -> None:
    """End this process at once when the worker has ended in any way, also in the middle of a job.

    The kernel sends SIGIO, which ends a process, when the last writer of the pipe has closed it. A thread
    alone would have to wait for the interpreter's lock, which some decoding libraries hold. The thread is for
    systems where SIGIO does nothing, and for a worker that has already ended.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        # A supervisor may signal the whole group. The worker still drains then and needs its decoders.
        signal.signal(number, signal.SIG_IGN)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)

    def watch() -> None:
        os.read(lifeline, 1)
        os._exit(1)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
