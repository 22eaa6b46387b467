"""Requests to a registry as an HTTP client sends them, header by header."""

from __future__ import annotations

import http.client
from collections.abc import Mapping

from tfleet.contract.address import Address


def call(
    registry: Address, method: str, path: str, headers: Mapping[str, str], body: str = ""
) -> tuple[int, str]:
    """Status and text of the answer."""
    connection = http.client.HTTPConnection(registry.host, registry.port, timeout=10)
    try:
        connection.request(method, path, body or None, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
