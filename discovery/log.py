"""One way of logging for every process: events with fields, for people on a terminal, else JSON lines."""

from __future__ import annotations

import logging
import sys
from typing import Literal, TextIO

import structlog

LogFormat = Literal["auto", "console", "json"]


_json_stream: TextIO | None = None


def json_stream() -> TextIO | None:
    """Where JSON lines go, for who makes them himself; None where other lines are wanted."""
    return _json_stream


def configure(log_format: LogFormat = "auto", *, level: str = "info") -> None:
    """Send structlog and the standard library's warnings to standard error, one line an event.

    `auto` is `console` where standard error is a terminal, else `json`.
    """
    global _json_stream  # noqa: PLW0603 - how a process logs is the process's state, as structlog's own
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer()
    )
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
        processors=[*shared, renderer],
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
                renderer,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(numeric_level, logging.WARNING), force=True)
