"""Redirects uploads to a worker (307) without reading them."""

from __future__ import annotations

from typing import Final

from tfleet.contract.address import Address
from tfleet.contract.names import MODEL, TICKET_QUERY, WORKER
from tfleet.contract.problem import Problem, ProblemError, is_plain
from tfleet.httpd.http1.request import RequestHead
from tfleet.proxy.balancing.model_router import ModelRouter
from tfleet.proxy.model_target import read_model_target, target_for
from tfleet.proxy.p2p.address_selection import ClientLocation
from tfleet.proxy.p2p.direct_response import LocalReply
from tfleet.proxy.p2p.local_networks import NetworkView
from tfleet.proxy.problems import NO_WORKER
from tfleet.proxy.ticket_issuer import TicketIssuer

_TEMPORARY_REDIRECT: Final = 307


class Redirect:
    """Answers 307 with the same path at a worker: clients repeat method, body and query there."""

    def __init__(self, router: ModelRouter, tickets: TicketIssuer, view: NetworkView) -> None:
        self._router = router
        self._view = view
        self._tickets = tickets

    def decide(self, head: RequestHead, peer: str | None) -> LocalReply:
        """Return the redirect. The connection ends, because the body that the client may have begun to send
        is not read. Raises ProblemError.
        """
        path = read_model_target(head.method, head.target)
        member = self._router.route(path.wanted, head).candidates.pick()
        if member is None:
            raise ProblemError(NO_WORKER)
        target = target_for(path, head.target, member.instance.version)
        address = ClientLocation(head, peer, self._view.networks).address(member.instance)
        kind, body = _body(head.path, address)
        headers = {
            "Location": address.url + self._target(target.decode("ascii"), member.instance.model),
            WORKER: member.id,
            MODEL: member.instance.model_label,
            "Content-Type": kind,
        }
        return LocalReply.of(_TEMPORARY_REDIRECT, headers, body, worker=member.id, keep=False)

    def _target(self, target: str, model: str) -> str:
        """Return path and query with a ticket for the model as the first parameter: the first one counts."""
        ticket = self._tickets.current(model)
        if ticket is None:
            return target
        path, _, query = target.partition("?")
        return f"{path}?{TICKET_QUERY}={ticket}" + (f"&{query}" if query else "")


def _body(path: str, address: Address) -> tuple[str, bytes]:
    """The type and the body for a client that does not follow. Below `/v1` and `/v2` it reads `error`."""
    if not is_plain(path):
        return "text/plain; charset=utf-8", f"requests go straight to a worker: {address}\n".encode()
    said = f"this proxy redirects to a worker, {address}: follow that, or use a proxy without --redirect-all"
    return "application/json", Problem(_TEMPORARY_REDIRECT, said).body(path)
