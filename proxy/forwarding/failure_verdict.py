"""What a failed attempt says about the worker, and whether the body may be the cause."""

from __future__ import annotations

from collections.abc import Hashable
from http import HTTPStatus

from tfleet.httpd.http1.request import RequestHead
from tfleet.proxy.balancing.member import PoolMember
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.forwarding.errors import (
    AttemptFailedError,
    DeclinedError,
    HungUpError,
    LateError,
    StaleConnectionError,
    TicketRefusedError,
    UnreachableError,
)
from tfleet.proxy.forwarding.poison_bodies import body_digest
from tfleet.proxy.forwarding.replay_buffer import RequestBody


def suspicious_body(
    table: WorkerTable, member: PoolMember, error: AttemptFailedError, head: RequestHead, body: RequestBody
) -> bytes:
    """Return a key for the body if it may have caused the failure, else b"".

    A worker that is stopping breaks off its last requests: that is not the body's fault. A body that was
    not kept has no digest; its length tells it apart well enough.
    """
    if not error.had_body or table.is_draining(member.id):
        return b""
    if not body.repeatable:
        return b"%d bytes" % body.received_bytes
    return body_digest(body.kept, head.content_type)


def report_failure(table: WorkerTable, member: PoolMember, error: AttemptFailedError, body: Hashable) -> None:
    """Report the failure to the worker table. `body` identifies the request's body, or the request."""
    # Late ones and those that hung up are unreachable, too. Of the requests that a lost worker takes with it
    # the first has it ejected, and counts: they are one failure.
    if isinstance(error, UnreachableError) and table.is_ready(member.id):
        table.tries.failed(member.instance)
    if isinstance(error, LateError | HungUpError):
        table.record_stall(member, body, str(error))
    elif isinstance(error, UnreachableError):
        table.record_failure(member, str(error))
    elif isinstance(error, StaleConnectionError) and error.had_body:
        table.request_probes((member.id,))
    elif isinstance(error, TicketRefusedError):
        table.record_ticket_refusal(member, str(error))
    elif isinstance(error, DeclinedError) and error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        table.record_not_ready(member, str(error))
