"""Forward mode: a request goes to a live worker and its answer comes back, both as they come.

The rules, whether exchange.py, attempt.py or upstream/connection.py keeps them:

- A try that gave nothing is repeated with another worker as long as nothing has gone to the client, all that
  was read of the body is still there, the retry budget allows it and time is left. A classification may run
  twice: it changes nothing.
- A worker that refuses, breaks off or sends what is no answer is ejected by that one failed try, also in the
  middle of an answer; the client's connection then breaks off too. A kept connection that turns out to have
  ended says nothing about the worker.
- One that makes no progress, or hangs up without a byte when it has the whole body, is probed at once: that
  decides. It may be the body that does it. Only the third different body in a row ejects it (see strikes.py).
- A body on which a try ended like that, or in a part of an answer's head, goes to one more worker. If that
  one fails, too, nobody else gets it, and for a minute a body that is the same gets one try (see poison.py).
- Neither body is ever held whole but for the replay memory. The slower side sets the pace in both directions.
- An answer that names another worker than the one that was asked is none: its address has a new owner. That
  one refuses by the head (421) what names the old one, so that it looks at nobody else's image.
- What a worker answers is the client's answer, whatever its status; 503 and 429 only if nobody else is there.
- But 401: it is the proxy's own ticket that the worker does not take, and the client can do nothing about
  it. Such a worker is ejected, as for errors, and another one is asked.
- A client that leaves, by whatever end of its connection, takes the try along.
"""

from __future__ import annotations

import asyncio

from tfleet.contract.cors import Cors
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.interfaces import Client
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.forwarding.context import ForwardingContext, Retrying, Telemetry
from tfleet.proxy.forwarding.exchange import Exchange
from tfleet.proxy.settings import RequestLimits
from tfleet.proxy.telemetry.access_log import AccessLog
from tfleet.proxy.telemetry.metrics import ProxyMetrics
from tfleet.proxy.ticket_issuer import TicketIssuer
from tfleet.proxy.upstream.connection_pool import WorkerConnections


class Forwarder:
    """Takes images and passes them on."""

    def __init__(
        self,
        fleet: WorkerTable,
        connections: WorkerConnections,
        limits: RequestLimits,
        metrics: ProxyMetrics,
        observer: AccessLog,
        tickets: TicketIssuer,
        cors: Cors,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._context = ForwardingContext(
            fleet=fleet,
            connections=connections,
            limits=limits,
            retrying=Retrying.within(limits),
            telemetry=Telemetry(metrics, observer),
            tickets=tickets,
            cors=cors,
            loop=loop,
        )

    def __repr__(self) -> str:
        return f"<Forwarder {self._context.retrying.memory!r} {self._context.retrying.budget!r}>"

    def handle(self, head: RequestHead, client: Client) -> Exchange:
        """The Handler of images (see httpd/interfaces.py)."""
        return Exchange(head, client, self._context)
