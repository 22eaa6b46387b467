"""A worker's HTTP side in this process: the real server and the real application, with any model."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import structlog

from tfleet.contract.address import Address
from tfleet.contract.cors import CORS_OFF, Cors
from tfleet.discovery.instance import Instance
from tfleet.worker.address.addresses import WorkerAddresses
from tfleet.worker.api.app import WorkerIdentity, make_app
from tfleet.worker.api.classify import Classify
from tfleet.worker.api.direct_predict import DirectPredict
from tfleet.worker.api.input_budget import InputBudget
from tfleet.worker.api.model_routes import Predictions
from tfleet.worker.api.predict import Predict
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.signature_runs import SignatureRuns
from tfleet.worker.decoders import DecoderPool
from tfleet.worker.decoders.metrics import DecoderMetrics
from tfleet.worker.image.isolated_decode import COMMAND
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.lifecycle import Lifecycle
from tfleet.worker.memory import MemoryTrimmer
from tfleet.worker.metrics import WorkerMetrics
from tfleet.worker.wsgi.admission_queue import QueueLimits
from tfleet.worker.wsgi.context import CheckTicket
from tfleet.worker.wsgi.incoming_body import BodyLimits
from tfleet.worker.wsgi.server import WsgiServer

MAX_BODY_BYTES = 1_000_000
MAX_INPUT_BYTES = 2**29
QUEUE_LIMITS = QueueLimits()


@contextlib.contextmanager
def serving(
    model: Any,
    *,
    threads: int = 8,
    queue_limits: QueueLimits = QUEUE_LIMITS,
    check_ticket: CheckTicket | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
    max_input_bytes: int = MAX_INPUT_BYTES,
    cors: Cors = CORS_OFF,
    name: str = "efficientnet-lite0",
    direct: bool = True,
    decode_within_s: float = 100,
) -> Iterator[tuple[Address, Lifecycle]]:
    """A worker that answers inside the block; without a model it is still starting. Without `direct` all
    requests go through Flask. However busy the machine is with other tests, a decoder has the time that it
    needs.
    """
    lifecycle = Lifecycle()
    if model is not None:
        lifecycle.ready(model)
    predictors = [] if model is None or model.classifier is not None else [model.predictor]
    for each in predictors:
        each.start()  # so that no test of many has started its threads
    server = WsgiServer(
        host="127.0.0.1",
        port=0,
        threads=threads,
        body_limits=BodyLimits(max_body_bytes),
        queue_limits=queue_limits,
        check_ticket=check_ticket,
    )
    instance = Instance("w1", server.address, name, "1")
    addresses = WorkerAddresses(lambda: server.address, None, server.address.port)
    limits = ImageLimits()
    pool_limits = dataclasses.replace(limits.decoders(2, timeout_s=5), answer_within_s=decode_within_s)
    decoders = DecoderPool(COMMAND, pool_limits, log=structlog.get_logger())
    metrics, memory = WorkerMetrics(), MemoryTrimmer()
    metrics.include(DecoderMetrics(decoders))
    metrics.queue_bytes.set_function(lambda: server.queue.waiting_bytes)
    classify = Classify(lifecycle, metrics, limits, decoders=decoders, memory=memory)
    budget = InputBudget(max_input_bytes)
    input_limits = InputLimits.of(max_body_bytes, budget.reserve)
    predict = Predict(SignatureRuns(lifecycle, metrics, input_limits, budget, memory))
    predictions = Predictions(instance, lifecycle, classify, predict)
    app = make_app(
        WorkerIdentity(instance, addresses, lifecycle), predictions, metrics, lifecycle.drain, cors
    )
    on_loop = DirectPredict(predictions, metrics, lambda: server.queue.waiting, cors) if direct else None
    server.start(app, instance.id, cors=cors, direct=on_loop)
    try:
        yield server.address, lifecycle
    finally:
        server.close(timeout_s=5)
        for each in predictors:
            each.close()
        decoders.close()
        memory.close()
