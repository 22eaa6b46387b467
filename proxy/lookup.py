"""p2p mode: which worker to talk to, instead of a way through the proxy."""

from __future__ import annotations

from collections.abc import Set
from typing import Final

from aiohttp import web

from tfleet.discovery.contract import MODEL, WORKER
from tfleet.proxy.fleet import Fleet
from tfleet.proxy.pool import Member
from tfleet.proxy.problems import NO_WORKER, ProblemError

EXPIRES_IN_S: Final = 30
"""How long a client may keep an address before it had better ask again."""


class Lookup:
    """Hands out workers' addresses, each to the next in turn."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def handle(self, request: web.Request) -> web.Response:
        """`host:port` and a newline, or JSON where `Accept` asks for it. Raises ProblemError with 503.

        The workers that `?except=ID` names, once or more often, are passed over and probed: they failed the
        client, and in p2p mode nobody else would tell.
        """
        failed = frozenset(request.query.getall("except", ()))
        self._fleet.doubt(failed)
        member = self._pick(failed)
        headers = {WORKER: member.id, MODEL: member.instance.model_label, "Cache-Control": "no-store"}
        if "application/json" in request.headers.get("Accept", ""):
            return web.json_response(_document(member), headers=headers)
        return web.Response(text=f"{member.instance.address}\n", headers=headers)

    async def redirect(self, request: web.Request) -> web.Response:
        """307 to the same path of a worker: method and body go there, and none of the body is read here."""
        member = self._pick()
        return web.Response(
            status=307,
            headers={
                "Location": member.instance.address.url + request.rel_url.raw_path_qs,
                WORKER: member.id,
                "Connection": "close",  # what the client may have begun to send is not read
            },
            text=f"images go straight to a worker: {member.instance.address}\n",
        )

    def _pick(self, failed: Set[str] = frozenset()) -> Member:
        member = self._fleet.pick(failed)
        if member is None:
            raise ProblemError(NO_WORKER)
        return member


def _document(member: Member) -> dict[str, object]:
    instance = member.instance
    return {
        "id": instance.id,
        "address": str(instance.address),
        "model": instance.model,
        "version": instance.version,
        "expires_in_s": EXPIRES_IN_S,
    }
