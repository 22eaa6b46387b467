"""What the contract's tests ask of a registry."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import consul
import consul.aio

from tfleet.contract.address import Address

DEADLINE_S = 10.0


def ttl_check(ttl: str = "60s", status: str = "passing") -> dict[str, str]:
    check: dict[str, str] = consul.Check.ttl(ttl)
    return check | {"Status": status, "DeregisterCriticalServiceAfter": "1m"}


def register(client: Any, name: str, service_id: str | None = None, **options: Any) -> Any:
    """With the defaults of a worker; on the asynchronous client, to be awaited."""
    options = {"address": "127.0.0.9", "port": 4711, "check": ttl_check()} | options
    return client.agent.service.register(name, service_id=service_id or name, **options)


def statuses(client: consul.Consul, name: str) -> dict[Any, Any]:
    """Each instance's id with the status of its own first check."""
    _, entries = client.health.service(name)
    return {
        entry["Service"]["ID"]: check["Status"]
        for entry in entries
        for check in entry["Checks"]
        if check["ServiceID"]
    }


def index_of(client: consul.Consul, name: str) -> int:
    return int(client.health.service(name)[0])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def call(server: Address, method: str, path: str, body: object = None) -> tuple[int, str]:
    """Status and text of a request that py-consul would not send, or would not show as it is."""
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
