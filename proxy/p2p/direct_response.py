"""Responses of the proxy itself, without a worker and without waiting: lookups and redirects."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from tfleet.contract.cors import Cors
from tfleet.contract.problem import ProblemError
from tfleet.contract.request_id import request_id
from tfleet.httpd.http1.local_response import connection_lines, local_head, local_response
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.interfaces import Client
from tfleet.proxy.model_target import read_model_target
from tfleet.proxy.telemetry.access_log import AccessLog


@dataclass(frozen=True, slots=True)
class LocalReply:
    """A response of the proxy itself; `head` is from `local_head`.

    `worker` is the worker that it names, for the log. Unless `keep`, the connection ends with it.
    """

    status: int
    head: bytes
    body: bytes
    worker: str | None = None
    keep: bool = True

    @classmethod
    def of(
        cls,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        *,
        worker: str | None = None,
        keep: bool = True,
    ) -> Self:
        """Make a response with these headers."""
        return cls(status, local_head(status, headers, len(body)), body, worker, keep)


class DirectResponse:
    """Answers requests with what `decide` returns for the head and the client's IP address.

    `decide` may raise ProblemError.
    """

    def __init__(
        self, decide: Callable[[RequestHead, str | None], LocalReply], access_log: AccessLog, cors: Cors
    ) -> None:
        self._decide = decide
        self._access_log = access_log
        self._cors = cors

    def handle(self, head: RequestHead, client: Client) -> None:
        """Answer. Nothing is read of a body."""
        began_s = time.perf_counter()
        name = request_id(head.request_id)
        try:
            reply = self._decide(head, client.peer)
        except ProblemError as error:
            problem, path = error.problem, head.path
            reply = LocalReply.of(problem.status, problem.headers(path), problem.body(path))
        keep = reply.keep and head.keep_alive and client.may_keep_alive
        lines = connection_lines(head, keep=keep)
        if self._cors:
            lines += self._cors.lines(head.origin)
        client.send(local_response(reply.head, reply.body, name, connection=lines, method=head.method))
        path = head.path
        self._access_log.answered(
            request_id=name,
            method=head.method.decode("ascii"),
            path=path,
            route=read_model_target(head.method, head.target).route or path,
            status=reply.status,
            seconds=time.perf_counter() - began_s,
            worker=reply.worker,
        )
        client.finish(keep=keep)
