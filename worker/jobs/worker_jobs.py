"""Whether this worker takes jobs, and which."""

from __future__ import annotations

from typing import Any

import structlog

from tfleet.discovery.instance import Instance
from tfleet.jobs.job import stream_name
from tfleet.worker.jobs.consumer import JobConsumer
from tfleet.worker.jobs.running_jobs import ConsumerIdentity
from tfleet.worker.metrics import WorkerMetrics
from tfleet.worker.settings import JobConsumerSettings
from tfleet.worker.wsgi.server import WsgiServer


class WorkerJobs:
    """The jobs of one worker; without settings there are none."""

    def __init__(
        self,
        settings: JobConsumerSettings | None,
        service: str,
        instance: Instance,
        server: WsgiServer,
        metrics: WorkerMetrics,
    ) -> None:
        self._consumer: JobConsumer | None = None
        self._log: Any = structlog.get_logger().bind(worker=instance.id)
        if settings is not None:
            stream = stream_name(instance.model, instance.version)
            identity = ConsumerIdentity(instance.id, stream, settings.visibility_s)
            self._consumer = JobConsumer(
                settings.redis, service, identity, server.queue, server.call_application
            )
            metrics.include(self._consumer.metrics)

    def __repr__(self) -> str:
        return f"<WorkerJobs {self._consumer!r}>"

    def start(self, *, stateful: bool) -> None:
        """Begin to take jobs. A model that changes with each request gets none: a job may come twice."""
        if self._consumer is None:
            return
        if stateful:
            self._consumer = None
            self._log.warning("no jobs are taken: the model changes with each request")
            return
        self._consumer.start()

    def close(self, timeout_s: float) -> None:
        """Take no more, and wait for those that were taken."""
        if self._consumer is not None:
            self._consumer.close(timeout_s)
