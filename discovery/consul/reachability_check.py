"""Has the registry test whether it can reach a worker's advertised address, with an HTTP check.

The check belongs to a service of its own, `NAME-self-test`, for two reasons. If a check of the node fails,
every service of that node drops out of `?passing`, the healthy ones included. And the registry removes a
service by itself (DeregisterCriticalServiceAfter) if the worker is killed during its test.

The check requests `/healthz?worker=ID`. Only that worker answers 200 with its id, so that another server
at the address is detected.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import consul

from tfleet.contract.address import Address
from tfleet.discovery.consul.access import Access
from tfleet.discovery.consul.client import ConsulClient, call_registry
from tfleet.discovery.errors import RegistryUnavailableError
from tfleet.discovery.instance import Instance

_T = TypeVar("_T")

TIMEOUT_S: Final = 10.0
"""How long the agent waits for a response: a worker that is loading its model may be slow."""

_INTERVAL: Final = "1s"  # Consul's minimum; the first run comes within it
_REMOVE_AFTER: Final = "1m"
_CALL_TIMEOUT_S: Final = 3.0
_MAX_CHARS: Final = 200

# Consul's outputs for a GET with a response, and for one without.
_ANSWER: Final = re.compile(r"HTTP GET (?P<url>\S+): (?P<status>\d{3}.*?) Output: (?P<body>.*)", re.DOTALL)
_NO_ANSWER: Final = re.compile(r"(?:Get|GET) \"?(?P<url>\S+?)\"?: (?P<error>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether the worker was reached; if not, the error text."""

    reached: bool
    error: str = ""


class AddressCheck(Protocol):
    """Another process that can test whether it reaches a worker. Every method raises a RegistryError."""

    @property
    def where(self) -> str:
        """Who sends the request, for messages."""

    def begin(self, instance: Instance) -> str:
        """Start a check of the instance's address; returns the check's name."""

    def finding(self, name: str) -> Finding | None:
        """Return the result; None until there is one."""

    def end(self, name: str) -> None:
        """Remove the check. An unknown one is no error."""


class ConsulAddressCheck:
    """An AddressCheck by a Consul agent, or by the embedded registry."""

    def __init__(self, registry: Address, service: str, access: Access | None = None) -> None:
        self.where = f"the registry at {registry}"
        self._service = f"{service}-self-test"
        self._consul = ConsulClient(registry, access or Access(), timeout_s=_CALL_TIMEOUT_S)
        self._expected: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<ConsulAddressCheck {self.where} open={len(self._expected)}>"

    def begin(self, instance: Instance) -> str:
        # A new name for each try: registering an existing check keeps its old result.
        name = f"{instance.id}-self-test-{secrets.token_hex(4)}"
        url = f"{instance.address.url}/healthz?worker={instance.id}"
        check = consul.Check.http(url, _INTERVAL, timeout=f"{TIMEOUT_S:g}s", deregister=_REMOVE_AFTER)
        self._call(
            lambda: self._consul.agent.service.register(
                self._service,
                service_id=name,
                address=instance.address.host,
                port=instance.address.port,
                check=check,
            )
        )
        self._expected[name] = instance.id
        return name

    def finding(self, name: str) -> Finding | None:
        match = f'CheckID == "service:{name}"'

        def outputs() -> list[str]:
            return [str(check["Output"]) for check in self._consul.agent.checks(filter_expr=match).values()]

        found = self._call(outputs)
        if not found:
            raise RegistryUnavailableError(f"{self.where} has lost the check of the address")
        return parse_output(found[0], self._expected[name])

    def end(self, name: str) -> None:
        self._expected.pop(name, None)
        self._call(lambda: self._consul.agent.service.deregister(name))

    def _call(self, call: Callable[[], _T]) -> _T:
        return call_registry(self.where, call, needed=f"service:write for {self._service}")


def parse_output(output: str, worker_id: str) -> Finding | None:
    """Parse the check's output; None before the first run, when it is empty."""
    if not output:
        return None
    if answer := _ANSWER.fullmatch(output):
        status, body = answer["status"], answer["body"]
        if status.startswith("200") and body.strip() == worker_id:
            return Finding(True)
        return Finding(False, f"another server answers there: {_detail(body) or _line(f'{status} {body}')}")
    no_answer = _NO_ANSWER.fullmatch(output)
    return Finding(False, _line(no_answer["error"] if no_answer else output))


def _detail(body: str) -> str:
    """Return the detail of a problem document; empty if it is none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    detail = document.get("detail") if isinstance(document, dict) else None
    return _line(detail) if isinstance(detail, str) else ""


def _line(text: str) -> str:
    """Put the text on one line of bounded length."""
    words = " ".join(text.split())
    return words if len(words) <= _MAX_CHARS else f"{words[:_MAX_CHARS]}..."
