"""Forward mode: requests are forwarded to a live worker and responses back, both as streams.

The rules, kept by exchange.py, timeouts.py, attempt.py and upstream/connection.py:

- A failed attempt is retried at another worker as long as nothing was sent to the client, the body
  received so far is still kept, the retry budget allows it and time is left. A prediction may run twice,
  because it changes nothing. Not so with a stateful model: its registration says so, and a request that
  may have reached it is not retried.
- A worker that refuses the connection, breaks it off or sends an invalid response is ejected after one
  failed attempt. In the middle of a response the client's connection breaks off, too. A kept connection
  that turns out to have ended says nothing about the worker.
- A worker that makes no progress, or closes the connection without a byte after the whole body, is probed
  at once, because the body may be the cause. The third different body in a row ejects it
  (outlier_detection.py).
- A body on which an attempt failed like that, or in the middle of a response's head, goes to one more
  worker. If that one fails, too, no other worker gets it, and for a minute equal bodies get one attempt
  (poison_bodies.py).
- Bodies are streamed; only the replay buffer keeps them. The slower side sets the pace in both directions.
- If the response names another worker, the address has a new owner: the response is discarded. The new
  owner rejects requests for the old one with 421, unread.
- A worker's response goes to the client whatever its status; 503 and 429 only if no other worker is left.
- Except 401: the worker rejects the proxy's own ticket, and the client can do nothing about it. Such a
  worker is ejected as for errors, and another one is tried.
- A share of a model's requests is mirrored to its canary, after the client has its answer
  (mirror/traffic.py).
- When the client disconnects, the attempt ends. A client that only sends no more gets its response
  (httpd/half_closed.py).
"""

from __future__ import annotations

import asyncio

from tfleet.contract.cors import Cors
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.interfaces import Client
from tfleet.proxy.balancing.model_router import ModelRouter
from tfleet.proxy.forwarding.context import ForwardingContext, Retrying, Telemetry
from tfleet.proxy.forwarding.exchange import Exchange
from tfleet.proxy.forwarding.mirror.traffic import MirrorTraffic
from tfleet.proxy.forwarding.worker_access import WorkerAccess
from tfleet.proxy.settings import RequestLimits
from tfleet.proxy.telemetry.access_log import AccessLog
from tfleet.proxy.telemetry.metrics import ProxyMetrics
from tfleet.proxy.ticket_issuer import TicketIssuer
from tfleet.proxy.upstream.connection_pool import WorkerConnections


class Forwarder:
    """Starts an exchange for each request."""

    def __init__(
        self,
        router: ModelRouter,
        connections: WorkerConnections,
        limits: RequestLimits,
        metrics: ProxyMetrics,
        access_log: AccessLog,
        tickets: TicketIssuer,
        cors: Cors,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        access = WorkerAccess(connections, tickets)
        self.mirror = MirrorTraffic(router, access, limits, loop)
        """To be used as a context manager while the forwarder is in use."""
        self._context = ForwardingContext(
            router=router,
            access=access,
            limits=limits,
            retrying=Retrying.within(limits),
            telemetry=Telemetry(metrics, access_log),
            mirror=self.mirror,
            cors=cors,
            loop=loop,
        )

    def __repr__(self) -> str:
        return f"<Forwarder {self._context.retrying.memory!r} {self._context.retrying.budget!r}>"

    def handle(self, head: RequestHead, client: Client) -> Exchange:
        """The Handler of images (see httpd/interfaces.py)."""
        return Exchange(head, client, self._context)
