"""The endpoints under `/v1/health`, `/v1/catalog` and `/v1/status`: what watches read.

https://developer.hashicorp.com/consul/api-docs/health and .../api-docs/catalog
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from aiohttp import web

from tfleet.discovery.embedded import responses as reply
from tfleet.discovery.embedded.errors import IncompleteError, RefusedRequestError
from tfleet.discovery.embedded.go_json import Document
from tfleet.discovery.embedded.model import Service
from tfleet.discovery.embedded.requests import ReadQuery, read_body
from tfleet.discovery.embedded.state import RegistryState

_OF_A_SERVICE: Final = ("Service.ID", "Service.Address", "Service.Port")
_OF_A_CHECK: Final = ("CheckID",)


class CatalogAPI:
    """The handlers; `routes` says which is where."""

    def __init__(self, agent: RegistryState, *, first_index: int) -> None:
        self._agent = agent
        self._first_index = first_index

    def routes(self) -> list[web.RouteDef]:
        """Names may hold slashes, as in Consul, so they take the rest of the path."""
        return [
            web.get("/v1/health/service/{name:.*}", self._health, allow_head=False),
            web.get("/v1/health/node/{node:.*}", self._node_checks, allow_head=False),
            web.get("/v1/catalog/services", self._names, allow_head=False),
            web.get("/v1/catalog/service/{name:.*}", self._instances, allow_head=False),
            web.put("/v1/catalog/deregister", self._deregister),
            web.get("/v1/status/leader", self._leader, allow_head=False),
        ]

    async def _health(self, request: web.Request) -> web.Response:
        name, query = _name(request), ReadQuery.parse(request.query, selectors=_OF_A_SERVICE)
        index = await self._wait(request, query, partial(self._agent.catalog.service_index, name))
        entries = self._agent.catalog.instances(name)
        if query.wanted:
            entries = tuple(entry for entry in entries if _is_wanted(entry.service, query.wanted))
        if query.passing:
            entries = tuple(entry for entry in entries if entry.is_passing)
        return reply.document(reply.health_entries(entries, self._agent.node, self._first_index), index=index)

    async def _node_checks(self, request: web.Request) -> web.Response:
        query = ReadQuery.parse(request.query, selectors=_OF_A_CHECK)
        index = await self._wait(request, query, lambda: self._agent.catalog.index)
        if request.match_info["node"] != self._agent.node.name:  # to Consul an unknown node is no error
            return reply.document([], index=index)
        checks = self._agent.catalog.checks(query.wanted.get("CheckID"))
        return reply.document(reply.node_checks(checks, self._agent.node), index=index)

    async def _instances(self, request: web.Request) -> web.Response:
        name, query = _name(request), ReadQuery.parse(request.query)
        index = await self._wait(request, query, partial(self._agent.catalog.service_index, name))
        entries = self._agent.catalog.instances(name)
        return reply.document(reply.catalog_entries(entries, self._agent.node), index=index)

    async def _names(self, request: web.Request) -> web.Response:
        query = ReadQuery.parse(request.query)
        index = await self._wait(request, query, lambda: self._agent.catalog.services_index)
        return reply.document(self._agent.catalog.names(), index=index)

    async def _deregister(self, request: web.Request) -> web.Response:
        fields = Document.parse(
            await read_body(request, self._agent.limits),
            ("node", "serviceid", "checkid", "address", "datacenter", "namespace"),
        )
        if not fields.text("node"):
            raise IncompleteError("Must provide node")
        if not fields.text("serviceid"):
            raise RefusedRequestError("the embedded registry deregisters services only: ServiceID is missing")
        if fields.text("node") == self._agent.node.name:  # to Consul an unknown node or service is no error
            self._agent.catalog.deregister(fields.text("serviceid"))
        return reply.document(True)

    async def _leader(self, request: web.Request) -> web.Response:
        return reply.document(f"{self._agent.node.address}:{request.url.port}")

    async def _wait(self, request: web.Request, query: ReadQuery, index: Callable[[], int]) -> int:
        """Hold a blocking query until it is over; the index to answer with."""
        if query.index:
            await self._agent.watchers.wait(
                index, query.index, query.wait_s, gone=lambda: request.transport is None
            )
        return index()


def _is_wanted(service: Service, wanted: Mapping[str, str]) -> bool:
    has = dict(zip(_OF_A_SERVICE, (service.id, service.address, str(service.port)), strict=True))
    return all(has[selector] == value for selector, value in wanted.items())


def _name(request: web.Request) -> str:
    name = request.match_info["name"]
    if not name:
        raise RefusedRequestError("Missing service name")
    return name
