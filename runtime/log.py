"""Log set-up of every process: structured events, human-readable on a terminal, otherwise JSON lines."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, TextIO, cast

import structlog

from tfleet.runtime.printable import printable

LogFormat = Literal["auto", "console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`--log-format` and `--log-level`."""

    format: LogFormat = "auto"
    level: LogLevel = "info"


# Fields with several lines of text.
_MULTILINE_FIELDS: Final = ("exception", "stack")


class LogStream:
    """A stream for a log. Lines that can't be written are lost: a full disk, or a reader that has ended, must
    neither cost a request nor keep a process from stopping.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __repr__(self) -> str:
        return f"<LogStream {self._stream!r}>"

    def write(self, text: str) -> int:
        """Write it, if that is possible."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what was written, if that is possible."""
        with suppress(OSError):
            self._stream.flush()


_json_stream: LogStream | None = None


def json_stream() -> LogStream | None:
    """Return the stream for JSON lines, for code that formats them itself; None if the log has another
    format.
    """
    return _json_stream


def configure(log_format: LogFormat = "auto", *, level: LogLevel = "info") -> None:
    """Send structlog's events from `level` up, and the standard library's warnings, to standard error, one
    line each.

    `auto` is `console` if standard error is a terminal, otherwise `json`.
    """
    global _json_stream  # noqa: PLW0603 - how a process logs is the process's state, as structlog's own
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer()
    )
    rendering: list[structlog.typing.Processor] = [_escape_for_terminal, renderer] if console else [renderer]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    numeric_level = logging.getLevelNamesMapping()[level.upper()]
    stream = LogStream(sys.stderr)
    _json_stream = None if console or numeric_level > logging.INFO else stream
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(numeric_level),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, stream)),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard library: the same lines, from warnings up.
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *rendering,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(numeric_level, logging.WARNING), force=True)


def _escape_for_terminal(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Escape control characters in ids, paths and error texts from outside. JSON escapes them anyway."""
    for key, value in event.items():
        event[key] = _block(str(value)) if key in _MULTILINE_FIELDS else _escaped(value)
    return event


def _escaped(value: object) -> object:
    if isinstance(value, str):
        return printable(value)
    text = repr(value)
    return value if text.isprintable() else printable(text)


def _block(text: str) -> str:
    """Indent the lines, so that a line end in a message cannot fake a log line."""
    return "\n".join(f"  {printable(line)}" for line in text.split("\n"))
