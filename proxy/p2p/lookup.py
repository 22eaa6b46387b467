"""p2p mode: which worker to talk to, or which ones, instead of a way through the proxy.

A lease (`?n=8`) names several workers, for a client to share its images among them by itself. It is a piece
of advice with an expiry: nobody holds a place for anybody, and the proxy remembers nothing of it.

Where workers ask for tickets, each answer has one. An address as text becomes a URL without a scheme, which
curl takes as it takes an address; JSON and heads have the ticket apart. It outlives what it comes with.

A worker may have another address for clients outside of its network: see vantage.py for who is told which.
"""

from __future__ import annotations

import json
from collections.abc import Set
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
from tfleet.contract.problem import Problem
from tfleet.discovery.instance import Instance
from tfleet.httpd.http1.request import RequestHead
from tfleet.proxy.balancing.member import PoolMember
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.p2p.address_selection import ClientLocation, Wanted
from tfleet.proxy.p2p.direct_response import LocalReply
from tfleet.proxy.p2p.local_networks import NetworkView
from tfleet.proxy.problems import NO_WORKER, ProblemError
from tfleet.proxy.ticket_issuer import TicketIssuer

EXPIRES_IN_S: Final = 30
"""How long a client may keep an address before it had better ask again."""

LEASE_S: Final = 10
"""How long a lease lasts. A newcomer waits about that long for the images of clients at work, which is the
time in which the registry finds out about the lost (a check's TTL). A client with 10 images a second still
makes but one lookup for 70 of them.
"""

_JSON: Final = "application/json"
_JSON_TYPE: Final = f"{_JSON}; charset=utf-8"
_TEXT: Final = "text/plain"
_TEXT_TYPE: Final = f"{_TEXT}; charset=utf-8"
_NO_STORE: Final = {"Cache-Control": "no-store"}
_MOST_KEPT: Final = 1024


class Lookup:
    """Hands out workers' addresses, each to the next in turn. `forwards` is whether the proxy takes images,
    too.
    """

    def __init__(
        self, fleet: WorkerTable, tickets: TicketIssuer, view: NetworkView, *, forwards: bool
    ) -> None:
        self._fleet = fleet
        self._view = view
        self._tickets = tickets
        self._forwards = forwards

    def decide(self, head: RequestHead, peer: str | None) -> LocalReply:
        """`host:port`, or `host:port/?ticket=TICKET`, and a newline; or JSON where `Accept` asks for it; with
        `?n=` a lease. Raises ProblemError with 400 or 503.

        The workers that `?except=ID` names, once or more often, are passed over and probed: they failed the
        client, and in p2p mode nobody else would tell. `?address=lan` or `wan` says which address is wanted.
        """
        accepts = head.accept
        query = head.target.partition(b"?")[2]
        if query:
            asked = parse_qs(query.decode("ascii"), keep_blank_values=True)
            failed = frozenset(asked.get("except", ()))
            self._fleet.request_probes(failed)
            asker = ClientLocation(head, peer, self._view.networks, _wanted(asked.get(ADDRESS_KIND)))
            if LEASE_SIZE in asked:
                lines = _TEXT in accepts and _JSON not in accepts
                return self._lease(_lease_size(asked[LEASE_SIZE][0]), failed, asker, lines=lines)
        else:
            failed = frozenset()
            asker = ClientLocation(head, peer, self._view.networks)
        member, ticket = self._pick(failed), self._tickets.current()
        return _answer(member.instance, asker.address(member.instance), ticket, as_json=_JSON in accepts)

    def _lease(self, n: int, failed: Set[str], asker: ClientLocation, *, lines: bool) -> LocalReply:
        """Up to `n` workers with an expiry, or just their addresses, one a line."""
        members, ticket = self._fleet.lease(n, failed), self._tickets.current()
        if not members:
            raise ProblemError(NO_WORKER)
        if lines:
            addresses = "".join(_line(asker.address(member.instance), ticket) for member in members)
            return LocalReply.of(200, {"Content-Type": _TEXT_TYPE, **_NO_STORE}, addresses.encode())
        lease = {
            "expires_in_s": LEASE_S,
            "forwards": self._forwards,
            **_field(ticket),
            "workers": [
                _row(member, asker.address(member.instance), self._fleet.weight(member)) for member in members
            ],
        }
        return LocalReply.of(200, {"Content-Type": _JSON_TYPE, **_NO_STORE}, json.dumps(lease).encode())

    def _pick(self, failed: Set[str] = frozenset()) -> PoolMember:
        member = self._fleet.pick(failed)
        if member is None:
            raise ProblemError(NO_WORKER)
        return member


@lru_cache(maxsize=_MOST_KEPT)
def _answer(instance: Instance, address: Address, ticket: str | None, *, as_json: bool) -> LocalReply:
    """What names one worker. Made once for all who are told the same: it costs more than all else here."""
    headers = {WORKER: instance.id, MODEL: instance.model_label, **_NO_STORE}
    if ticket is not None:
        headers[TICKET] = ticket
    if as_json:
        document = {**_identity(instance, address), "expires_in_s": EXPIRES_IN_S, **_field(ticket)}
        kind, body = _JSON_TYPE, json.dumps(document).encode()
    else:
        kind, body = _TEXT_TYPE, _line(address, ticket).encode()
    return LocalReply.of(200, {"Content-Type": kind, **headers}, body, worker=instance.id)


def _lease_size(asked: str) -> int:
    n = whole_number(asked)
    if n is None or not 1 <= n <= MAX_LEASE_SIZE:
        detail = (
            f"{LEASE_SIZE} is {asked[:20]!r}: it says how many workers are wanted, from 1 to {MAX_LEASE_SIZE}"
        )
        raise ProblemError(Problem(400, detail))
    return n


def _wanted(asked: list[str] | None) -> Wanted | None:
    if asked is None:
        return None
    if asked[0] == LAN:
        return "lan"
    if asked[0] == WAN:
        return "wan"
    raise ProblemError(Problem(400, f"{ADDRESS_KIND} is {asked[0][:20]!r}: it is {LAN} or {WAN}"))


def _line(address: Address, ticket: str | None) -> str:
    return f"{address}\n" if ticket is None else f"{address}/?{TICKET_QUERY}={ticket}\n"


def _field(ticket: str | None) -> dict[str, str]:
    return {} if ticket is None else {"ticket": ticket}


def _row(member: PoolMember, address: Address, weight: float) -> dict[str, object]:
    # Who is only a last resort has no weight, and yet all the turns there are.
    return {**_identity(member.instance, address), "weight": round(weight, 2) or 1.0}


def _identity(instance: Instance, address: Address) -> dict[str, object]:
    return {
        "id": instance.id,
        "address": str(address),
        "model": instance.model,
        "version": instance.version,
    }
