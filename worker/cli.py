"""`tfleet worker`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tfleet.discovery import log
from tfleet.discovery.address import Address
from tfleet.discovery.contract import MAX_BODY_BYTES
from tfleet.discovery.cpus import usable_cpus
from tfleet.discovery.errors import AddressHeldError
from tfleet.discovery.key_file import BadKeyFileError, KeyFile
from tfleet.discovery.options import (
    PORT,
    advertise_option,
    chosen_registry,
    log_format_option,
    registry_options,
    ticket_key_file_option,
)
from tfleet.discovery.printable import printable
from tfleet.worker.decoders.limits import DEFAULT_DECODE_TIMEOUT_S
from tfleet.worker.http.queue import DEFAULT_MAX_QUEUE, DEFAULT_MAX_QUEUE_BYTES, QueueLimits
from tfleet.worker.image.limits import DEFAULT_MAX_PIXELS, ImageLimits
from tfleet.worker.model import ModelError, find_model
from tfleet.worker.model.precision import DEFAULT_TOLERANCE, WANTED, Wanted
from tfleet.worker.model.tuning import Tuning
from tfleet.worker.published import NotPublishedError
from tfleet.worker.service import CannotListenError, Settings, serve
from tfleet.worker.wan import FindWan, advertise_wan_option

_FILE = click.Path(path_type=Path)


@click.command(context_settings={"show_default": True})
@click.option(
    "--model",
    type=_FILE,
    help="NAME/VERSION folder, NAME folder, or a frozen .pb file.  [default: EfficientNet-Lite0]",
)
@click.option("--labels", type=_FILE, help="Labels of a .pb file, one a line.")
@click.option("--input-layer", help="Input tensor of a .pb file, as in DecodeJpeg/contents:0.")
@click.option("--output-layer", help="Output tensor of a .pb file, as in final_result:0.")
@click.option(
    "--input-size", type=click.IntRange(min=1), help="Height and width in pixels that a .pb file takes."
)
@click.option("--input-mean", type=float, help="Subtracted from each pixel of 0 to 255.")
@click.option("--input-std", type=float, help="What the difference is divided by.")
@click.option("--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 for all.")
@click.option("--port", type=PORT, default=0, help="0 is any free port.")
@advertise_option
@advertise_wan_option
@click.option(
    "--self-test/--no-self-test",
    default=True,
    help="Be ready only when the registry has reached that address.",
)
@registry_options
@ticket_key_file_option
@click.option(
    "--cpus",
    type=click.IntRange(min=1),
    help="CPUs to compute on: its share, where several workers are on a machine and tfleet up did not start "
    "them.  [default: those that affinity and cgroup quota allow]",
)
@click.option(
    "--precision",
    type=click.Choice(WANTED),
    default="auto",
    help="bfloat16 is about twice as fast on CPUs that have it; auto takes it there if the labels of sample "
    "images stay the same.",
)
@click.option(
    "--precision-tolerance",
    type=click.FloatRange(min=0, max=1),
    default=DEFAULT_TOLERANCE,
    help="How far bfloat16 may move a probability of a sample image.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Requests worked on at once.  [default: those that run, and a batch that is decoded]",
)
@click.option(
    "--max-batch",
    type=click.IntRange(min=1),
    default=8,
    help="At most so many images run together when they come faster than one by one; 1 is never.",
)
@click.option(
    "--max-body-bytes",
    type=click.IntRange(min=1),
    default=MAX_BODY_BYTES,
    help="Largest body; beyond it 413.",
)
@click.option(
    "--max-queue",
    type=click.IntRange(min=0),
    default=DEFAULT_MAX_QUEUE,
    help="Requests that may wait for a thread; beyond it 429.",
)
@click.option(
    "--max-queue-bytes",
    type=click.IntRange(min=0),
    default=DEFAULT_MAX_QUEUE_BYTES,
    help="Bytes that their bodies may have together; beyond it 429.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=DEFAULT_MAX_PIXELS,
    help="Largest decoded image; beyond it 413.",
)
@click.option(
    "--decode-timeout",
    "decode_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULT_DECODE_TIMEOUT_S,
    help="Seconds of CPU that decoding one image may take; beyond it 413.",
)
@click.option(
    "--drain-grace",
    "drain_grace_s",
    type=click.FloatRange(min=0),
    default=1.0,
    help="Seconds after SIGTERM in which requests are still taken, while the fleet learns of it.",
)
@click.option(
    "--drain-timeout",
    "drain_timeout_s",
    type=click.FloatRange(min=0),
    default=20.0,
    help="Seconds that requests in flight get to finish after that.",
)
@log_format_option
def worker(
    *,
    model: Path | None,
    labels: Path | None,
    input_layer: str | None,
    output_layer: str | None,
    input_size: int | None,
    input_mean: float | None,
    input_std: float | None,
    host: str,
    port: int,
    advertise: Address | None,
    find_wan: FindWan | None,
    self_test: bool,
    registry: str | None,
    registry_port: int,
    service: str,
    ticket_key_file: Path | None,
    cpus: int | None,
    precision: Wanted,
    precision_tolerance: float,
    threads: int | None,
    max_batch: int,
    max_body_bytes: int,
    max_queue: int,
    max_queue_bytes: int,
    max_pixels: int,
    decode_timeout_s: float,
    drain_grace_s: float,
    drain_timeout_s: float,
    log_format: log.LogFormat,
) -> None:
    """Serve one model over HTTP and register it.

    \b
    With a proxy in another terminal (`tfleet proxy`):
      tfleet worker
      tfleet worker --model models/flowers/3
      tfleet worker --model output_graph.pb --labels output_labels.txt \\
        --input-layer DecodeJpeg/contents:0 --output-layer final_result:0
    On its own:
      tfleet worker --registry static: --port 8080
    """
    log.configure(log_format)
    tuning = Tuning(cpus or usable_cpus(), precision, precision_tolerance)
    image_limits = ImageLimits(max_pixels=max_pixels)
    try:
        settings = Settings(
            spec=find_model(
                model,
                labels=labels,
                input_layer=input_layer,
                output_layer=output_layer,
                input_size=input_size,
                input_mean=input_mean,
                input_std=input_std,
            ),
            tuning=tuning,
            host=host,
            port=port,
            advertise=advertise,
            find_wan=find_wan,
            self_test=self_test,
            registry=chosen_registry(registry, registry_port),
            service=service,
            ticket_keys=KeyFile(ticket_key_file) if ticket_key_file else None,
            threads=threads,
            max_batch=max_batch,
            max_body_bytes=max_body_bytes,
            queue_limits=QueueLimits(max_queue, max_queue_bytes),
            image_limits=image_limits,
            pool_limits=image_limits.decoders(tuning.cpus, decode_timeout_s),
            drain_grace_s=drain_grace_s,
            drain_timeout_s=drain_timeout_s,
        )
        serve(settings)
    except NotPublishedError as error:
        click.echo(f"tfleet worker: --advertise-wan: {error}", err=True)
        sys.exit(2)
    except (ModelError, CannotListenError, AddressHeldError, BadKeyFileError) as error:
        click.echo(printable(f"tfleet worker: {error}"), err=True)
        sys.exit(2)
