"""The endpoints under `/v1/agent`: the node's services and checks, and the node itself.

https://developer.hashicorp.com/consul/api-docs/agent
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from tfleet.discovery.embedded import responses as reply
from tfleet.discovery.embedded.errors import IncompleteError, RefusedRequestError, UnknownServiceError
from tfleet.discovery.embedded.go_json import Document
from tfleet.discovery.embedded.model import DATACENTER, Status, is_status
from tfleet.discovery.embedded.requests import ReadQuery, read_body, read_enable
from tfleet.discovery.embedded.service_definition import parse_registration
from tfleet.discovery.embedded.state import RegistryState
from tfleet.discovery.maintenance import DEFAULT_REASON

_API_LEVEL: Final = "1.8.7"
"""The version of Consul whose texts and statuses these are; clients read it from `/v1/agent/self`."""

_VERBS: Final[dict[str, Status]] = {"pass": "passing", "warn": "warning", "fail": "critical"}
_ALIVE: Final = 1


class AgentAPI:
    """The handlers; `routes` maps them."""

    def __init__(self, agent: RegistryState) -> None:
        self._agent = agent

    def routes(self) -> list[web.RouteDef]:
        """Return the routes. Ids may contain slashes, as in Consul, so they take the rest of the path."""
        routes = [
            web.get("/v1/agent/self", self._self, allow_head=False),
            web.get("/v1/agent/members", self._members, allow_head=False),
            web.get("/v1/agent/services", self._services, allow_head=False),
            web.get("/v1/agent/checks", self._checks, allow_head=False),
            web.put("/v1/agent/service/register", self._register),
            web.put("/v1/agent/service/deregister/{id:.*}", self._deregister),
            web.put("/v1/agent/service/maintenance/{id:.*}", self._maintain),
            web.put("/v1/agent/maintenance", self._maintain_node),
            web.get("/v1/agent/service/{id:.*}", self._service, allow_head=False),
            web.put("/v1/agent/check/update/{id:.*}", self._update),
        ]
        return routes + [web.put(f"/v1/agent/check/{verb}/{{id:.*}}", self._heartbeat) for verb in _VERBS]

    async def _register(self, request: web.Request) -> web.Response:
        body = await read_body(request, self._agent.limits)
        registration = parse_registration(body, self._agent.limits, registrant=request.remote or "")
        self._agent.catalog.register(
            registration,
            self._agent.clock(),
            replace_checks="replace-existing-checks" in request.query,
        )
        return reply.empty()

    async def _deregister(self, request: web.Request) -> web.Response:
        service_id = request.match_info["id"]
        if not service_id:
            raise IncompleteError("ServiceID missing")
        self._agent.catalog.deregister(service_id)  # an unknown id is no error to Consul 1.8
        return reply.empty()

    async def _maintain(self, request: web.Request) -> web.Response:
        service_id = request.match_info["id"]
        if not service_id:
            raise RefusedRequestError("Missing service ID")
        self._agent.catalog.maintain(service_id, _notes(request.query, "service"))
        return reply.empty()

    async def _maintain_node(self, request: web.Request) -> web.Response:
        self._agent.catalog.maintain_node(_notes(request.query, "node"))
        return reply.empty()

    async def _heartbeat(self, request: web.Request) -> web.Response:
        status = _VERBS[request.path.split("/")[4]]
        return self._set_check(request, status, request.query.get("note", ""))

    async def _update(self, request: web.Request) -> web.Response:
        fields = Document.parse(await read_body(request, self._agent.limits), ("status", "output"))
        status = fields.text("status")
        if not is_status(status):
            raise RefusedRequestError(f"Invalid check status: '{status}'")
        return self._set_check(request, status, fields.text("output"))

    def _set_check(self, request: web.Request, status: Status, output: str) -> web.Response:
        self._agent.catalog.update_check(request.match_info["id"], status, output, self._agent.clock())
        return reply.empty()

    async def _services(self, request: web.Request) -> web.Response:
        ReadQuery.parse(request.query)
        entries = self._agent.catalog.entries()
        return reply.document({entry.service.id: reply.agent_service(entry.service) for entry in entries})

    async def _service(self, request: web.Request) -> web.Response:
        entry = self._agent.catalog.entry(request.match_info["id"])
        if entry is None:
            raise UnknownServiceError(request.match_info["id"])
        return reply.document(reply.agent_service(entry.service))

    async def _checks(self, request: web.Request) -> web.Response:
        query = ReadQuery.parse(request.query, selectors=("CheckID",))
        checks = self._agent.catalog.checks(query.wanted.get("CheckID"))
        return reply.document({check.id: reply.agent_check(check, self._agent.node) for check in checks})

    async def _self(self, request: web.Request) -> web.Response:
        node = self._agent.node
        return reply.document(
            {
                "Config": {
                    "Datacenter": DATACENTER,
                    "NodeName": node.name,
                    "NodeID": node.id,
                    "Revision": "tfleet-embedded",
                    "Server": True,
                    "Version": _API_LEVEL,
                },
                "Member": self._member(request),
                "Meta": {},
            }
        )

    async def _members(self, request: web.Request) -> web.Response:
        return reply.document([self._member(request)])

    def _member(self, request: web.Request) -> reply.Document:
        node = self._agent.node
        return {
            "Name": node.name,
            "Addr": node.address,
            "Port": request.url.port,
            "Tags": {
                "build": f"{_API_LEVEL}:",
                "dc": DATACENTER,
                "id": node.id,
                "role": "consul",
                "segment": "",
            },
            "Status": _ALIVE,
        }


def _notes(query: Mapping[str, str], what: str) -> str | None:
    """Return the reason for the maintenance of a `service` or a `node`; None to end it."""
    return (query.get("reason") or DEFAULT_REASON.format(what)) if read_enable(query) else None
