"""Responses: Consul's headers, and the JSON documents of its endpoints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from tfleet.discovery.embedded.model import DATACENTER, Check, Entry, Node, Service

Document = dict[str, Any]


def empty() -> web.Response:
    """Return Consul's response to a successful write."""
    return web.Response()


def text(status: int, line: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an error: a status and a line of text."""
    return web.Response(status=status, text=line, headers=headers)


def document(value: object, *, index: int | None = None) -> web.Response:
    """Return a JSON response; with an index, with the headers of the catalog's answers."""
    headers = {} if index is None else _read_headers(index)
    body = json.dumps(value, separators=(",", ":")).encode()
    return web.Response(body=body, content_type="application/json", headers=headers)


def no_such_key(index: int) -> web.Response:
    """Return Consul's response to a read of a key that does not exist."""
    return web.Response(status=404, headers=_read_headers(index))


def raw_value(value: bytes, index: int) -> web.Response:
    """Return the value of a key as it is."""
    return web.Response(body=value, content_type="text/plain", headers=_read_headers(index))


def _read_headers(index: int) -> dict[str, str]:
    return {
        "X-Consul-Index": str(max(index, 1)),  # never 0: a client that waits on 0 does not wait
        "X-Consul-KnownLeader": "true",
        "X-Consul-LastContact": "0",
        "X-Consul-Effective-Consistency": "leader",
    }


def agent_service(service: Service) -> Document:
    """An element of `/v1/agent/services`."""
    tagged = _tagged_addresses(service)
    return {
        "ID": service.id,
        "Service": service.name,
        "Tags": list(service.tags),
        "Meta": dict(service.meta),
        "Port": service.port,
        "Address": service.address,
        **({"TaggedAddresses": tagged} if tagged else {}),
        "Weights": _weights(service),
        "EnableTagOverride": service.enable_tag_override,
    }


def agent_check(check: Check, node: Node) -> Document:
    """An element of `/v1/agent/checks`: an agent does not know the catalog's indexes."""
    return _check(check, node) | {"CreateIndex": 0, "ModifyIndex": 0}


def health_entries(entries: Iterable[Entry], node: Node, node_index: int) -> list[Document]:
    """`/v1/health/service/NAME`: services with their node and with the checks of both."""
    shared_node = {
        "ID": node.id,
        "Node": node.name,
        "Address": node.address,
        "Datacenter": DATACENTER,
        "TaggedAddresses": _node_addresses(node),
        "Meta": {},
        "CreateIndex": node_index,
        "ModifyIndex": node_index,
    }
    shared_check = {
        "Node": node.name,
        "CheckID": "serfHealth",
        "Name": "Serf Health Status",
        "Status": "passing",
        "Notes": "",
        "Output": "Agent alive and reachable",
        "ServiceID": "",
        "ServiceName": "",
        "ServiceTags": [],
        "Type": "",
        "Definition": {},
        "CreateIndex": node_index,
        "ModifyIndex": node_index,
    }
    return [
        {
            "Node": shared_node,
            "Service": _health_service(entry),
            "Checks": [shared_check, *(_check(check, node) for check in entry.checks)],
        }
        for entry in entries
    ]


def node_checks(checks: Iterable[Check], node: Node) -> list[Document]:
    """`/v1/health/node/NAME`, without the check of the node itself."""
    return [_check(check, node) for check in checks]


def catalog_entries(entries: Iterable[Entry], node: Node) -> list[Document]:
    """`/v1/catalog/service/NAME`."""
    return [
        {
            "ID": node.id,
            "Node": node.name,
            "Address": node.address,
            "Datacenter": DATACENTER,
            "TaggedAddresses": _node_addresses(node),
            "NodeMeta": {},
            "ServiceKind": "",
            "ServiceID": entry.service.id,
            "ServiceName": entry.service.name,
            "ServiceTags": list(entry.service.tags),
            "ServiceAddress": entry.service.address,
            "ServiceTaggedAddresses": _tagged_addresses(entry.service),
            "ServiceWeights": _weights(entry.service),
            "ServiceMeta": dict(entry.service.meta),
            "ServicePort": entry.service.port,
            "ServiceEnableTagOverride": entry.service.enable_tag_override,
            "ServiceProxy": {"MeshGateway": {}, "Expose": {}},
            "ServiceConnect": {},
            "CreateIndex": entry.create_index,
            "ModifyIndex": entry.modify_index,
        }
        for entry in entries
    ]


def _health_service(entry: Entry) -> Document:
    return agent_service(entry.service) | {
        "Meta": dict(entry.service.meta) or None,  # null in Consul too, and a client had better know
        "Proxy": {"MeshGateway": {}, "Expose": {}},
        "Connect": {},
        "CreateIndex": entry.create_index,
        "ModifyIndex": entry.modify_index,
    }


def _check(check: Check, node: Node) -> Document:
    return {
        "Node": node.name,
        "CheckID": check.id,
        "Name": check.name,
        "Status": check.status,
        "Notes": check.notes,
        "Output": check.output,
        "ServiceID": check.service_id,
        "ServiceName": check.service_name,
        "ServiceTags": list(check.service_tags),
        "Type": check.type,
        "Definition": {},
        "CreateIndex": check.create_index,
        "ModifyIndex": check.modify_index,
    }


def _tagged_addresses(service: Service) -> Document:
    return {
        tag: {"Address": tagged.address, "Port": tagged.port}
        for tag, tagged in service.tagged_addresses.items()
    }


def _weights(service: Service) -> Document:
    return {"Passing": service.weights.passing, "Warning": service.weights.warning}


def _node_addresses(node: Node) -> Document:
    return dict.fromkeys(("lan", "lan_ipv4", "wan", "wan_ipv4"), node.address)
