"""One way of logging for every process: events with fields, for people on a terminal, else JSON lines."""

from __future__ import annotations

import logging
import sys
from typing import Final, Literal, TextIO

import structlog

from tfleet.runtime.printable import printable

LogFormat = Literal["auto", "console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

# Of several lines by nature.
_BLOCKS: Final = ("exception", "stack")

_json_stream: TextIO | None = None


def json_stream() -> TextIO | None:
    """Where JSON lines go, for who makes them himself; None where other lines are wanted."""
    return _json_stream


def configure(log_format: LogFormat = "auto", *, level: LogLevel = "info") -> None:
    """Send structlog's events from `level` up, and the standard library's warnings, to standard error, one
    line an event.

    `auto` is `console` where standard error is a terminal, else `json`.
    """
    global _json_stream  # noqa: PLW0603 - how a process logs is the process's state, as structlog's own
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer()
    )
    rendering: list[structlog.typing.Processor] = [_fit_for_a_terminal, renderer] if console else [renderer]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    numeric_level = logging.getLevelNamesMapping()[level.upper()]
    _json_stream = None if console or numeric_level > logging.INFO else sys.stderr
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(numeric_level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard library: the same lines, from warnings up.
    handler = logging.StreamHandler(sys.stderr)
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


def _fit_for_a_terminal(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Escape what ids, paths and errors of strangers could do to a terminal. JSON does so by itself."""
    for key, value in event.items():
        event[key] = _block(str(value)) if key in _BLOCKS else _harmless(value)
    return event


def _harmless(value: object) -> object:
    if isinstance(value, str):
        return printable(value)
    shown = repr(value)
    return value if shown.isprintable() else printable(shown)


def _block(text: str) -> str:
    """Its lines, indented: a message with a line end in it must not look like a line of the log."""
    return "\n".join(f"  {printable(line)}" for line in text.split("\n"))
