"""The options that say what a worker serves and how it works, for every command that starts workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from tfleet.contract.names import MAX_BODY_BYTES
from tfleet.discovery.options import cors_origin_option
from tfleet.worker.decoders.limits import DEFAULT_DECODE_TIMEOUT_S
from tfleet.worker.image.limits import DEFAULT_MAX_PIXELS
from tfleet.worker.inference.precision import DEFAULT_TOLERANCE, WANTED_PRECISIONS
from tfleet.worker.wsgi.admission_queue import DEFAULT_MAX_QUEUE, DEFAULT_MAX_QUEUE_BYTES

_F = TypeVar("_F", bound=Callable[..., Any])
_FILE: Final = click.Path(path_type=Path)


def model_options(command: _F) -> _F:
    """What `find_model` takes: `--model` and what describes a bare graph."""
    return _with(
        command,
        click.option(
            "--model",
            type=_FILE,
            help="NAME/VERSION folder, NAME folder, or a frozen .pb file.  [default: EfficientNet-Lite0]",
        ),
        click.option("--labels", type=_FILE, help="Labels of a .pb file, one a line."),
        click.option("--input-layer", help="Input tensor of a .pb file, as in DecodeJpeg/contents:0."),
        click.option("--output-layer", help="Output tensor of a .pb file, as in final_result:0."),
        click.option(
            "--input-size",
            type=click.IntRange(min=1),
            help="Height and width in pixels that a .pb file takes.",
        ),
        click.option("--input-mean", type=float, help="Subtracted from each pixel of 0 to 255."),
        click.option("--input-std", type=float, help="What the difference is divided by."),
    )


def work_options(command: _F) -> _F:
    """How much it computes with, what it takes at most, and how it leaves."""
    return _with(
        command,
        click.option(
            "--self-test/--no-self-test",
            default=True,
            help="Be ready only when the registry has reached the worker's address.",
        ),
        cors_origin_option,
        click.option(
            "--cpus",
            type=click.IntRange(min=1),
            help="CPUs to compute on: its share, where several workers are on a machine and tfleet up did "
            "not start them.  [default: those that affinity and cgroup quota allow]",
        ),
        click.option(
            "--precision",
            type=click.Choice(WANTED_PRECISIONS),
            default="auto",
            help="bfloat16 is about twice as fast on CPUs that have it; auto takes it there if the labels of "
            "sample images stay the same.",
        ),
        click.option(
            "--precision-tolerance",
            type=click.FloatRange(min=0, max=1),
            default=DEFAULT_TOLERANCE,
            help="How far bfloat16 may move a probability of a sample image.",
        ),
        click.option(
            "--threads",
            type=click.IntRange(min=1),
            help="Requests worked on at once.  [default: those that run, and a batch that is decoded]",
        ),
        click.option(
            "--max-batch",
            type=click.IntRange(min=1),
            default=8,
            help="At most so many images run together when they come faster than one by one; 1 is never.",
        ),
        click.option(
            "--max-body-bytes",
            type=click.IntRange(min=1),
            default=MAX_BODY_BYTES,
            help="Largest body; beyond it 413.",
        ),
        click.option(
            "--max-queue",
            type=click.IntRange(min=0),
            default=DEFAULT_MAX_QUEUE,
            help="Requests that may wait for a thread; beyond it 429.",
        ),
        click.option(
            "--max-queue-bytes",
            type=click.IntRange(min=0),
            default=DEFAULT_MAX_QUEUE_BYTES,
            help="Bytes that their bodies may have together; beyond it 429.",
        ),
        click.option(
            "--max-pixels",
            type=click.IntRange(min=1),
            default=DEFAULT_MAX_PIXELS,
            help="Largest decoded image; beyond it 413.",
        ),
        click.option(
            "--decode-timeout",
            "decode_timeout_s",
            type=click.FloatRange(min=0, min_open=True),
            default=DEFAULT_DECODE_TIMEOUT_S,
            help="Seconds of CPU that decoding one image may take; beyond it 413.",
        ),
        click.option(
            "--drain-grace",
            "drain_grace_s",
            type=click.FloatRange(min=0),
            default=1.0,
            help="Seconds after SIGTERM in which requests are still taken, while the fleet learns of it.",
        ),
        click.option(
            "--drain-timeout",
            "drain_timeout_s",
            type=click.FloatRange(min=0),
            default=20.0,
            help="Seconds that requests in flight get to finish after that.",
        ),
    )


def _with(command: _F, *options: Callable[[_F], _F]) -> _F:
    """The command with these options, in their order."""
    for option in reversed(options):
        command = option(command)
    return command
