"""What a try that failed says of the worker, and whether the body may be the reason instead."""

from __future__ import annotations

from collections.abc import Hashable
from http import HTTPStatus

from tfleet.httpd.http1.request import RequestHead
from tfleet.proxy.balancing.member import PoolMember
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.forwarding.errors import (
    DeclinedError,
    HungUpError,
    LateError,
    StaleConnectionError,
    TicketRefusedError,
    TryFailedError,
    UnreachableError,
)
from tfleet.proxy.forwarding.poison_bodies import body_digest
from tfleet.proxy.forwarding.replay_buffer import Upload


def suspect(
    fleet: WorkerTable, member: PoolMember, error: TryFailedError, head: RequestHead, upload: Upload
) -> bytes:
    """What the body is known by if it may be the reason, else nothing.

    A worker that is about to stop cuts off what is left in the end: that is nobody's fault. A body that is
    not kept has no digest; its length tells it from others well enough.
    """
    if not error.had_body or fleet.is_draining(member.id):
        return b""
    if not upload.repeatable:
        return b"%d bytes" % upload.received_bytes
    return body_digest(upload.kept, head.content_type)


def judge(fleet: WorkerTable, member: PoolMember, error: TryFailedError, body: Hashable) -> None:
    """Tell the fleet of a failure. `body` is what tells the request's from others."""
    if isinstance(error, LateError | HungUpError):
        fleet.record_stall(member, body, str(error))
    elif isinstance(error, UnreachableError):
        fleet.record_failure(member, str(error))
    elif isinstance(error, StaleConnectionError) and error.had_body:
        fleet.request_probes((member.id,))
    elif isinstance(error, TicketRefusedError):
        fleet.record_ticket_refusal(member, str(error))
    elif isinstance(error, DeclinedError) and error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        fleet.record_not_ready(member, str(error))
