"""Lookups: `GET /worker` names one worker or leases several, instead of forwarding the image.

A lease (`?n=8`) names several workers; the client balances its images among them by itself. It is advice
with an expiry: no capacity is reserved, and the proxy keeps no state about it.

If workers require tickets, each answer has one. As text it is `HOST:PORT/?ticket=...`, which curl takes
like an address; in JSON and headers it is separate. The ticket is for the workers of the model that was asked
for, and outlives the answer.

A worker may have another address for outside clients: see address_selection.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qs

from tfleet.contract.address import Address
from tfleet.contract.names import (
    ADDRESS_KIND,
    LAN,
    LEASE_SIZE,
    MAX_LEASE_SIZE,
    MODEL,
    TICKET,
    TICKET_QUERY,
    WAN,
    WORKER,
    whole_number,
)
from tfleet.contract.problem import Problem, ProblemError
from tfleet.discovery.instance import Instance
from tfleet.httpd.http1.request import RequestHead
from tfleet.proxy.balancing.model_router import ModelRouter
from tfleet.proxy.balancing.versions import ANY, Wanted
from tfleet.proxy.p2p.address_selection import AddressKind, ClientLocation
from tfleet.proxy.p2p.direct_response import LocalReply
from tfleet.proxy.p2p.lease_shares import LeasedWorker, leased_workers
from tfleet.proxy.p2p.local_networks import NetworkView
from tfleet.proxy.problems import NO_WORKER
from tfleet.proxy.ticket_issuer import TicketIssuer

EXPIRES_IN_S: Final = 30
"""How long a client may use an address before it should ask again."""

LEASE_S: Final = 10
"""How long a lease lasts. A new worker waits about that long for the images of clients with leases; it is
also the time in which the registry notices a lost worker (a check's TTL). A client with 10 images a second
still makes only one lookup for 70 of them.
"""

_JSON: Final = "application/json"
_JSON_TYPE: Final = f"{_JSON}; charset=utf-8"
_TEXT: Final = "text/plain"
_TEXT_TYPE: Final = f"{_TEXT}; charset=utf-8"
_NO_STORE: Final = {"Cache-Control": "no-store"}
_CACHE_SIZE: Final = 1024
_MODEL: Final = "model"
_VERSION: Final = "version"
_LABEL: Final = "label"


class Lookup:
    """Names workers, by the balancing policy. `forwards` is whether this proxy also forwards images."""

    def __init__(
        self, router: ModelRouter, tickets: TicketIssuer, view: NetworkView, *, forwards: bool
    ) -> None:
        self._router = router
        self._view = view
        self._tickets = tickets
        self._forwards = forwards

    def decide(self, head: RequestHead, peer: str | None) -> LocalReply:
        """Return `host:port`, or `host:port/?ticket=TICKET`, and a line end; or JSON if `Accept` asks for it;
        with `?n=` a lease. Raises ProblemError with 400, 404 or 503.

        The workers in `?except=ID`, which may be repeated, are skipped and probed: they failed the client,
        and in p2p mode the proxy does not see failures itself. `?address=lan` or `wan` selects the kind of
        address. `?model=` names a model, and `&version=` or `&label=` one of its versions.
        """
        accepts = head.accept
        query = head.target.partition(b"?")[2]
        if query:
            parameters = parse_qs(query.decode("ascii"), keep_blank_values=True)
            failed = frozenset(parameters.get("except", ()))
            self._router.table.request_probes(failed)
            wanted = _wanted_version(parameters)
            kind = _wanted_address(parameters.get(ADDRESS_KIND))
            client = ClientLocation(head, peer, self._view.networks, kind)
            if LEASE_SIZE in parameters:
                lines = _TEXT in accepts and _JSON not in accepts
                leased = leased_workers(
                    self._router, wanted, head, _lease_size(parameters[LEASE_SIZE][0]), failed
                )
                return self._lease(leased, client, lines=lines)
        else:
            failed, wanted = frozenset(), ANY
            client = ClientLocation(head, peer, self._view.networks)
        member = self._router.route(wanted, head).candidates.pick(failed)
        if member is None:
            raise ProblemError(NO_WORKER)
        ticket = self._tickets.current(member.instance.model)
        return _answer(member.instance, client.address(member.instance), ticket, as_json=_JSON in accepts)

    def _lease(self, leased: Sequence[LeasedWorker], client: ClientLocation, *, lines: bool) -> LocalReply:
        """The workers with an expiry, or just their addresses, one a line."""
        if not leased:
            raise ProblemError(NO_WORKER)
        # All of them are of one model: a request is for one.
        ticket = self._tickets.current(leased[0].member.instance.model)
        if lines:
            addresses = "".join(_line(client.address(one.member.instance), ticket) for one in leased)
            return LocalReply.of(200, {"Content-Type": _TEXT_TYPE, **_NO_STORE}, addresses.encode())
        lease = {
            "expires_in_s": LEASE_S,
            "forwards": self._forwards,
            **_field(ticket),
            "workers": [_row(one, client.address(one.member.instance)) for one in leased],
        }
        return LocalReply.of(200, {"Content-Type": _JSON_TYPE, **_NO_STORE}, json.dumps(lease).encode())


@lru_cache(maxsize=_CACHE_SIZE)
def _answer(instance: Instance, address: Address, ticket: str | None, *, as_json: bool) -> LocalReply:
    """Return the answer that names one worker. Cached: to build it costs more than all else here."""
    headers = {WORKER: instance.id, MODEL: instance.model_label, **_NO_STORE}
    if ticket is not None:
        headers[TICKET] = ticket
    if as_json:
        document = {**_identity(instance, address), "expires_in_s": EXPIRES_IN_S, **_field(ticket)}
        kind, body = _JSON_TYPE, json.dumps(document).encode()
    else:
        kind, body = _TEXT_TYPE, _line(address, ticket).encode()
    return LocalReply.of(200, {"Content-Type": kind, **headers}, body, worker=instance.id)


def _lease_size(text: str) -> int:
    n = whole_number(text)
    if n is None or not 1 <= n <= MAX_LEASE_SIZE:
        detail = f"{LEASE_SIZE} is {text[:20]!r}: expected a number of workers from 1 to {MAX_LEASE_SIZE}"
        raise ProblemError(Problem(400, detail))
    return n


def _wanted_address(values: list[str] | None) -> AddressKind | None:
    if values is None:
        return None
    if values[0] == LAN:
        return "lan"
    if values[0] == WAN:
        return "wan"
    raise ProblemError(Problem(400, f"{ADDRESS_KIND} is {values[0][:20]!r}: it is {LAN} or {WAN}"))


def _wanted_version(parameters: Mapping[str, list[str]]) -> Wanted:
    """The model and version that a lookup names. Raises ProblemError (400)."""
    names = (_MODEL, _VERSION, _LABEL)
    for name in names:
        if len(parameters.get(name, ())) > 1:
            raise ProblemError(Problem(400, f"{name} is there twice: which one is it?"))
    model, version, label = (parameters.get(name, [None])[0] for name in names)
    if model is None:
        if version is not None or label is not None:
            raise ProblemError(Problem(400, f"{_VERSION} and {_LABEL} need {_MODEL}: which model is it?"))
        return ANY
    if version is not None and label is not None:
        raise ProblemError(Problem(400, f"name a {_VERSION} or a {_LABEL}, not both"))
    return Wanted(model, version, label)


def _line(address: Address, ticket: str | None) -> str:
    return f"{address}\n" if ticket is None else f"{address}/?{TICKET_QUERY}={ticket}\n"


def _field(ticket: str | None) -> dict[str, str]:
    return {} if ticket is None else {"ticket": ticket}


def _row(leased: LeasedWorker, address: Address) -> dict[str, object]:
    return {**_identity(leased.member.instance, address), "weight": round(leased.weight, 4)}


def _identity(instance: Instance, address: Address) -> dict[str, object]:
    return {
        "id": instance.id,
        "address": str(address),
        "model": instance.model,
        "version": instance.version,
        "stateful": instance.stateful,
    }
