"""Why an answer is refused, what a failed attempt says of its worker, and whether the body is to blame."""

from __future__ import annotations

from collections.abc import Hashable
from http import HTTPStatus
from typing import Final

from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.http1.response import ResponseHead
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
from tfleet.proxy.model_target import read_model_target
from tfleet.proxy.ticket_issuer import TicketIssuer

DECLINED: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""A worker that answers so has computed nothing, and asks for another one to be tried."""

_SILENT_S: Final = 1.0
_NO_TICKET: Final = "asks for a ticket, and this proxy has no --ticket-key-file"
_TICKET_REFUSED: Final = (
    "refuses this proxy's ticket: both need the same --ticket-key-file and --service, and clocks that agree"
)


def refusal(member: PoolMember, head: ResponseHead, tickets: TicketIssuer) -> AttemptFailedError | None:
    """Why an answer is none that a client may get, by its head; None if it may."""
    name = None if head.worker is None else head.worker.decode("latin-1")
    # The worker's address belongs to another one by now: its response is about another model perhaps.
    if not member.answers_as(name):
        return UnreachableError(f"{name} answers at its address", ran_nothing=True)
    # Only the proxy's ticket is checked, and the client cannot replace it: this is not the client's error.
    if head.status == HTTPStatus.UNAUTHORIZED:
        return TicketRefusedError(_NO_TICKET if tickets.has_no_keys else _TICKET_REFUSED)
    return None


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


def report_silence(
    table: WorkerTable, member: PoolMember, head: RequestHead, silent_s: float, *, chosen: bool
) -> None:
    """Report that a request's deadline passed while its worker was silent. `chosen`: by the client.

    Clients must not roll a canary back: by asking it, and nobody else, for more than any worker can do. So
    what a client chose counts only from a second on, and for a request that names no version.
    """
    if chosen:
        wanted = read_model_target(head.method, head.target).wanted
        if silent_s < _SILENT_S or wanted.version is not None or wanted.label is not None:
            return
    table.tries.failed(member.instance)


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
