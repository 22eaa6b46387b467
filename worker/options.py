"""The options of a worker, for all commands that start workers: its model, its resources, its limits, its
drain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from tfleet.contract.identifiers import escaped, is_label
from tfleet.discovery.options import OPTIONS, cors_origin_option, drain_options, max_body_bytes_option
from tfleet.worker.decoders.limits import DEFAULT_DECODE_TIMEOUT_S
from tfleet.worker.image.limits import DEFAULT_MAX_PIXELS
from tfleet.worker.inference.precision import DEFAULT_TOLERANCE, WANTED_PRECISIONS, WantedPrecision
from tfleet.worker.model import ModelSpec
from tfleet.worker.model.formats import ModelFormat, file_format
from tfleet.worker.model.graph_options import GraphOptions, graph_options, trust_option
from tfleet.worker.model.keras.file import check_code, read_keras_file
from tfleet.worker.model.model_path import ModelPath, ModelUrl
from tfleet.worker.model.remote_progress import local_model
from tfleet.worker.wsgi.admission_queue import DEFAULT_MAX_QUEUE, DEFAULT_MAX_QUEUE_BYTES

_F = TypeVar("_F", bound=Callable[..., Any])


def model_options(command: _F) -> _F:
    """`--model`, and the options that describe a model without model.toml. See `ModelOptions`."""
    return _with(
        command,
        click.option(
            "--model",
            type=ModelPath(),
            metavar="PATH|URL",
            help="Model folder NAME/VERSION or NAME, SavedModel, Keras file or frozen graph (.pb), or the "
            "URL of one (http, s3, gs, ...).  [default: EfficientNet-Lite0]",
        ),
        click.option(
            "--model-name",
            callback=_label,
            help="Name to serve the model under.  [default: that of its folder or file]",
        ),
        click.option(
            "--model-version",
            callback=_label,
            help="Version to serve the model as.  [default: that of its folder, else 0]",
        ),
        graph_options,
        trust_option,
    )


def work_options(command: _F) -> _F:
    """The self-test, CORS, and all of `ComputeOptions` and `LimitOptions`, and `DrainTimes`."""
    return _with(
        command,
        click.option(
            "--self-test/--no-self-test",
            default=True,
            help="Become ready only after the registry has reached the worker's address.",
        ),
        cors_origin_option,
        _compute_options,
        _limit_options,
        drain_options(timeout_s=20.0),
    )


def _compute_options(command: _F) -> _F:
    return _with(
        command,
        click.option(
            "--cpus",
            type=click.IntRange(min=1),
            help="CPUs for inference. Set it if several workers share a machine and tfleet up did not start "
            "them.  [default: those that affinity and cgroup quota allow]",
        ),
        click.option(
            "--precision",
            type=click.Choice(WANTED_PRECISIONS),
            default="auto",
            help="bfloat16 is about twice as fast on CPUs that have it; auto uses it there if the labels of "
            "sample images stay the same.",
        ),
        click.option(
            "--precision-tolerance",
            type=click.FloatRange(min=0, max=1),
            default=DEFAULT_TOLERANCE,
            help="How much bfloat16 may change a probability of a sample image.",
        ),
        click.option(
            "--threads",
            type=click.IntRange(min=1),
            help="Threads that decode images and wait for the model.  [default: enough to decode one batch "
            "while others run]",
        ),
        click.option(
            "--max-batch",
            type=click.IntRange(min=1),
            default=8,
            help="Largest batch of images that wait for the model; 1 disables batching.",
        ),
    )


def _limit_options(command: _F) -> _F:
    return _with(
        command,
        max_body_bytes_option,
        click.option(
            "--max-queue",
            type=click.IntRange(min=0),
            default=DEFAULT_MAX_QUEUE,
            help="Requests that may wait for a thread; more are answered with 429.",
        ),
        click.option(
            "--max-queue-bytes",
            type=click.IntRange(min=0),
            default=DEFAULT_MAX_QUEUE_BYTES,
            help="Total bytes of the request bodies that wait or arrive; more are answered with 429.",
        ),
        click.option(
            "--max-pixels",
            type=click.IntRange(min=1),
            default=DEFAULT_MAX_PIXELS,
            help="Largest image, width x height in pixels; larger ones are answered with 413.",
        ),
        click.option(
            "--decode-timeout",
            "decode_timeout_s",
            type=click.FloatRange(min=0, min_open=True),
            default=DEFAULT_DECODE_TIMEOUT_S,
            help="CPU seconds for decoding one image; images that take longer are answered with 413.",
        ),
    )


def _label(_ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
    """Check a name or version: they stand in headers, paths and the registry."""
    if text is not None and not (text and is_label(text)):
        raise click.UsageError(f"{param.opts[0]} '{escaped(text)}' is not printable ASCII of bounded length")
    return text


def _with(command: _F, *options: Callable[[_F], _F]) -> _F:
    """Add options to a command, in their order in --help."""
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """The values of `model_options`; see `find_model`. A name and a version replace those of the folder."""

    model: Path | ModelUrl | None
    trust: bool
    graph: GraphOptions = field(metadata={OPTIONS: GraphOptions})
    model_name: str | None = None
    model_version: str | None = None

    def find(self, *, log: Any = None) -> ModelSpec:
        """The model, fetched first if `model` is a URL. Raises `ModelError`.

        A fetch says in the log how far it is, or on standard error without a `log`.
        """
        found = self.graph.find(local_model(self.model, log=log), trust=self.trust)
        spec = replace(found, name=self.model_name or found.name, version=self.model_version or found.version)
        # A .keras file is read within milliseconds. For an .h5 file that takes a process, so its conversion
        # does it.
        if spec.path.is_file() and file_format(spec.path) is ModelFormat.KERAS:
            check_code(read_keras_file(spec.path), trust=spec.serving.trust)
        return spec


@dataclass(frozen=True, slots=True)
class ComputeOptions:
    """How the model runs. `cpus` None is all that the process may use."""

    cpus: int | None
    precision: WantedPrecision
    precision_tolerance: float
    threads: int | None
    max_batch: int


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """The limits on requests and images."""

    max_body_bytes: int
    max_queue: int
    max_queue_bytes: int
    max_pixels: int
    decode_timeout_s: float
