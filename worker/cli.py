"""`tfleet worker`: from its options to a running worker."""

from __future__ import annotations

import sys
from typing import Any

import click
import structlog

from tfleet.contract.cors import Cors
from tfleet.contract.ticket_keys import BadKeyFileError, KeyFile
from tfleet.discovery.errors import AddressHeldError
from tfleet.discovery.options import (
    PORT,
    RegistryOptions,
    advertise_option,
    log_format_option,
    log_level_option,
    registry_options,
    take_options,
    ticket_key_file_option,
)
from tfleet.httpd.drain import DrainTimes
from tfleet.httpd.listen import CannotListenError
from tfleet.jobs.options import jobs_option, visibility_option
from tfleet.runtime import log
from tfleet.runtime.cpus import usable_cpus
from tfleet.runtime.printable import printable
from tfleet.worker.address.docker_port import NotPublishedError
from tfleet.worker.address.wan_option import advertise_wan_option
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference.precision import Tuning
from tfleet.worker.model import ModelError
from tfleet.worker.options import (
    ComputeOptions,
    LimitOptions,
    ModelOptions,
    model_options,
    work_options,
)
from tfleet.worker.server import serve
from tfleet.worker.settings import (
    DecodingSettings,
    HttpSettings,
    InferenceSettings,
    JobConsumerSettings,
    RegistrationSettings,
    WorkerSettings,
)
from tfleet.worker.wsgi.admission_queue import QueueLimits
from tfleet.worker.wsgi.incoming_body import BodyLimits


@click.command(context_settings={"show_default": True})
@model_options
@click.option("--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 is all addresses.")
@click.option("--port", type=PORT, default=0, help="Port to listen on; 0 is any free port.")
@advertise_option
@advertise_wan_option
@registry_options
@ticket_key_file_option
@work_options
@jobs_option("Take jobs from these Redis, besides requests.")
@visibility_option
@log_format_option
@log_level_option
def worker(**options: Any) -> None:
    """Serve one model over HTTP and register it.

    \b
    With a proxy in another terminal (`tfleet proxy`):
      tfleet worker
      tfleet worker --model path/to/model/3
      tfleet worker --model output_graph.pb --labels output_labels.txt \\
        --input-layer DecodeJpeg/contents:0 --output-layer final_result:0
    Without proxy and registry:
      tfleet worker --registry static: --port 8080
    """
    logs = take_options(log.LogSettings, options, prefix="log_")
    log.configure(logs.format, level=logs.level)
    try:
        serve(_settings(options))
    except NotPublishedError as error:
        click.echo(printable(f"tfleet worker: --advertise-wan: {error}"), err=True)
        sys.exit(2)
    except (ModelError, CannotListenError, AddressHeldError, BadKeyFileError) as error:
        click.echo(printable(f"tfleet worker: {error}"), err=True)
        sys.exit(2)


def _settings(options: dict[str, Any]) -> WorkerSettings:
    """The settings that the command line describes. Raises ModelError, BadKeyFileError and
    click.UsageError.
    """
    model = take_options(ModelOptions, options)
    compute = take_options(ComputeOptions, options)
    limits = take_options(LimitOptions, options)
    registry = take_options(RegistryOptions, options)
    tuning = Tuning(compute.cpus or usable_cpus(), compute.precision, compute.precision_tolerance)
    image_limits = ImageLimits(max_pixels=limits.max_pixels)
    drain = take_options(DrainTimes, options, prefix="drain_")
    ticket_key_file = options.pop("ticket_key_file")
    redis, visibility_s = options.pop("jobs"), options.pop("job_visibility_s")
    return WorkerSettings(
        InferenceSettings(
            spec=model.find(log=structlog.get_logger()),
            tuning=tuning,
            max_batch=compute.max_batch,
            threads=compute.threads,
        ),
        HttpSettings(
            host=options.pop("host"),
            port=options.pop("port"),
            body_limits=BodyLimits(limits.max_body_bytes),
            queue_limits=QueueLimits(limits.max_queue, limits.max_queue_bytes),
            cors=Cors.parse(options.pop("cors_origins")),
            ticket_keys=KeyFile(ticket_key_file) if ticket_key_file else None,
        ),
        RegistrationSettings(
            registry=registry.chosen(),
            service=registry.service,
            **options,  # those that are left: advertise, find_wan and self_test
        ),
        DecodingSettings(image_limits, image_limits.decoders(tuning.cpus, limits.decode_timeout_s)),
        drain,
        JobConsumerSettings(redis, visibility_s) if redis else None,
    )
