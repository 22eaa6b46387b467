"""Finds the local copy of what `--model` names, and says how far its fetch is.

On a terminal that is one line that changes, otherwise lines in the log.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TextIO

import click

from tfleet.runtime.printable import printable
from tfleet.worker.model.cache_folder import cache_folder
from tfleet.worker.model.model_path import ModelUrl

_TERMINAL_S: Final = 0.2
_LOG_S: Final = 10.0
_MB: Final = 1_000_000


def local_model(model: Path | ModelUrl | None, *, log: Any = None) -> Path | None:
    """The path of a model, which is fetched into this user's cache if it is a URL. Raises `ModelError`.

    Without a `log`, messages are lines on standard error.
    """
    if not isinstance(model, ModelUrl):
        return model
    from tfleet.worker.model.remote import fetch_model  # noqa: PLC0415 - only few models are URLs

    say = log or _Echo()
    if sys.stderr.isatty():
        progress = terminal_progress(sys.stderr, printable(model.shown), time.monotonic)
    else:
        progress = log_progress(say, model.shown, time.monotonic)
    return fetch_model(
        model,
        cache_folder("remote"),
        progress=progress,
        warn=lambda said: say.warning("the model's URL can't be used", error=said),
    )


class _Echo:
    """Takes log events where there is no log."""

    def info(self, event: str, **values: Any) -> None:
        fields = " ".join(f"{name}={value}" for name, value in values.items())
        click.echo(printable(f"{event} {fields}"), err=True)

    warning = info


def terminal_progress(
    out: TextIO, shown: str, clock: Callable[[], float]
) -> Callable[[int, int | None], None]:
    """A line on a terminal, at most five times a second; a complete one at the end."""
    last: float | None = None

    def progress(done: int, total: int | None) -> None:
        nonlocal last
        now, whole = clock(), total is not None and done >= total
        if last is None or now - last >= _TERMINAL_S or whole:
            last = now
            of = "" if total is None else f" of {total / _MB:.1f}"
            out.write(f"\r{shown}: {done / _MB:.1f}{of} MB" + ("\n" if whole else ""))
            out.flush()

    return progress


def log_progress(log: Any, shown: str, clock: Callable[[], float]) -> Callable[[int, int | None], None]:
    """A log line at the beginning, and then every ten seconds."""
    last: float | None = None

    def progress(done: int, total: int | None) -> None:
        nonlocal last
        now = clock()
        if last is None or now - last >= _LOG_S:
            last = now
            log.info("fetching the model", url=shown, bytes=done, total_bytes=total)

    return progress
