"""`tfleet worker`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tfleet.contract.address import Address
from tfleet.contract.cors import Cors
from tfleet.contract.ticket_keys import BadKeyFileError, KeyFile
from tfleet.discovery.errors import AddressHeldError
from tfleet.discovery.options import (
    PORT,
    advertise_option,
    chosen_registry,
    log_format_option,
    log_level_option,
    registry_options,
    ticket_key_file_option,
)
from tfleet.runtime import log
from tfleet.runtime.cpus import usable_cpus
from tfleet.runtime.printable import printable
from tfleet.worker.address.docker_port import NotPublishedError
from tfleet.worker.address.wan_option import FindWan, advertise_wan_option
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference.precision import Tuning, WantedPrecision
from tfleet.worker.model import ModelError, find_model
from tfleet.worker.options import model_options, work_options
from tfleet.worker.server import CannotListenError, WorkerSettings, serve
from tfleet.worker.wsgi.admission_queue import QueueLimits


@click.command(context_settings={"show_default": True})
@model_options
@click.option("--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 for all.")
@click.option("--port", type=PORT, default=0, help="0 is any free port.")
@advertise_option
@advertise_wan_option
@registry_options
@ticket_key_file_option
@work_options
@log_format_option
@log_level_option
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
    registry_token_file: Path | None,
    service: str,
    ticket_key_file: Path | None,
    cors_origins: tuple[str, ...],
    cpus: int | None,
    precision: WantedPrecision,
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
    log_level: log.LogLevel,
) -> None:
    """Serve one model over HTTP and register it.

    \b
    With a proxy in another terminal (`tfleet proxy`):
      tfleet worker
      tfleet worker --model path/to/model/3
      tfleet worker --model output_graph.pb --labels output_labels.txt \\
        --input-layer DecodeJpeg/contents:0 --output-layer final_result:0
    On its own:
      tfleet worker --registry static: --port 8080
    """
    log.configure(log_format, level=log_level)
    tuning = Tuning(cpus or usable_cpus(), precision, precision_tolerance)
    image_limits = ImageLimits(max_pixels=max_pixels)
    try:
        settings = WorkerSettings(
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
            registry=chosen_registry(registry, registry_port, registry_token_file),
            service=service,
            ticket_keys=KeyFile(ticket_key_file) if ticket_key_file else None,
            threads=threads,
            max_batch=max_batch,
            max_body_bytes=max_body_bytes,
            queue_limits=QueueLimits(max_queue, max_queue_bytes),
            cors=Cors.parse(cors_origins),
            image_limits=image_limits,
            pool_limits=image_limits.decoders(tuning.cpus, decode_timeout_s),
            drain_grace_s=drain_grace_s,
            drain_timeout_s=drain_timeout_s,
        )
        serve(settings)
    except NotPublishedError as error:
        click.echo(printable(f"tfleet worker: --advertise-wan: {error}"), err=True)
        sys.exit(2)
    except (ModelError, CannotListenError, AddressHeldError, BadKeyFileError) as error:
        click.echo(printable(f"tfleet worker: {error}"), err=True)
        sys.exit(2)
