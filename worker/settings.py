"""What a worker is started with, grouped by the part that reads it."""

from __future__ import annotations

from dataclasses import dataclass

from tfleet.contract.address import Address
from tfleet.contract.cors import Cors
from tfleet.contract.ticket_keys import KeyFile
from tfleet.discovery.registry import Registry
from tfleet.httpd.drain import DrainTimes
from tfleet.jobs.redis_url import RedisUrl
from tfleet.worker.address.wan_option import FindWan
from tfleet.worker.decoders import PoolLimits
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference.precision import Tuning
from tfleet.worker.model import ModelSpec
from tfleet.worker.wsgi.admission_queue import QueueLimits
from tfleet.worker.wsgi.incoming_body import BodyLimits


@dataclass(frozen=True, slots=True)
class InferenceSettings:
    """The model and how it runs. `threads` None is what the model's session can use."""

    spec: ModelSpec
    tuning: Tuning
    max_batch: int
    threads: int | None


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where the worker listens and what it accepts. `port` 0 is any free one; without `ticket_keys` no
    request needs a ticket.
    """

    host: str
    port: int
    body_limits: BodyLimits
    queue_limits: QueueLimits
    cors: Cors
    ticket_keys: KeyFile | None


@dataclass(frozen=True, slots=True)
class RegistrationSettings:
    """Where the worker registers, as an instance of which service, under which addresses."""

    registry: Registry
    service: str
    advertise: Address | None
    find_wan: FindWan | None
    self_test: bool


@dataclass(frozen=True, slots=True)
class DecodingSettings:
    """The largest image, and the limits of the processes that decode images."""

    image_limits: ImageLimits
    pool_limits: PoolLimits


@dataclass(frozen=True, slots=True)
class JobConsumerSettings:
    """The Redis whose jobs the worker takes. A job that its worker has not renewed for `visibility_s` goes to
    another one.
    """

    redis: tuple[RedisUrl, ...]
    visibility_s: float


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """All that `tfleet worker` is told. Without `jobs` it takes none."""

    inference: InferenceSettings
    http: HttpSettings
    registration: RegistrationSettings
    decoding: DecodingSettings
    drain: DrainTimes
    jobs: JobConsumerSettings | None = None
