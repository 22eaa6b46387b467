"""A worker's HTTP side in this process: the real server, the real application, the real default model."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import structlog
import tensorflow as tf

from tfleet.contract.address import Address
from tfleet.contract.cors import CORS_OFF, Cors
from tfleet.discovery.instance import Instance
from tfleet.worker.address.addresses import WorkerAddresses
from tfleet.worker.api.app import WorkerIdentity, make_app
from tfleet.worker.api.classify import Classify
from tfleet.worker.decoders import DecoderPool
from tfleet.worker.decoders.metrics import DecoderMetrics
from tfleet.worker.image.isolated_decode import COMMAND
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference import Classifier
from tfleet.worker.lifecycle import Lifecycle
from tfleet.worker.memory import MemoryTrimmer
from tfleet.worker.metrics import WorkerMetrics
from tfleet.worker.model import find_model
from tfleet.worker.wsgi.admission_queue import QueueLimits
from tfleet.worker.wsgi.context import CheckTicket
from tfleet.worker.wsgi.incoming_body import BodyLimits
from tfleet.worker.wsgi.server import WsgiServer

MAX_BODY_BYTES = 1_000_000
QUEUE_LIMITS = QueueLimits()


def load(session_factory: Callable[..., Any] = tf.compat.v1.Session) -> Classifier:
    """The default model, warm; up to eight images run together, whether that pays here or not."""
    classifier = Classifier.load(find_model(None), session_factory=session_factory)
    classifier.warm_up((1, 2, 4, 8))
    classifier.batch_sizes = (1, 2, 4, 8)
    return classifier


@contextlib.contextmanager
def serving(
    classifier: Classifier | None,
    *,
    threads: int = 8,
    queue_limits: QueueLimits = QUEUE_LIMITS,
    check_ticket: CheckTicket | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
    cors: Cors = CORS_OFF,
) -> Iterator[tuple[Address, Lifecycle]]:
    """A worker that answers inside the block; without a classifier it is still starting."""
    lifecycle = Lifecycle()
    if classifier is not None:
        lifecycle.ready(classifier)
    server = WsgiServer(
        host="127.0.0.1",
        port=0,
        threads=threads,
        body_limits=BodyLimits(max_body_bytes),
        queue_limits=queue_limits,
        check_ticket=check_ticket,
    )
    instance = Instance("w1", server.address, "efficientnet-lite0", "1")
    addresses = WorkerAddresses(lambda: server.address, None, server.address.port)
    limits = ImageLimits()
    # However busy the machine is with other tests, a decoder has the time that it needs.
    pool_limits = dataclasses.replace(limits.decoders(2, timeout_s=5), answer_within_s=100)
    decoders = DecoderPool(COMMAND, pool_limits, log=structlog.get_logger())
    metrics, memory = WorkerMetrics(), MemoryTrimmer()
    metrics.include(DecoderMetrics(decoders))
    classify = Classify(lifecycle, metrics, limits, decoders=decoders, memory=memory)
    app = make_app(WorkerIdentity(instance, addresses, lifecycle), classify, metrics, lifecycle.drain, cors)
    server.start(app, instance.id, cors=cors)
    try:
        yield server.address, lifecycle
    finally:
        server.close(timeout_s=5)
        decoders.close()
        memory.close()
