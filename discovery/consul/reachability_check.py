"""Has somebody else reach a worker at the address that it advertises: the registry, with an HTTP check.

The check belongs to a service of its own, `NAME-self-test`, for two reasons. A check of the node's, once it
fails, takes every service of that node out of `?passing`, the well ones too. And a service is cleaned up by
the registry itself (DeregisterCriticalServiceAfter) where the worker is killed in the middle of its test.

The check asks `/healthz?worker=ID`, which only that worker answers with 200 and its id, so that another one
who answers at the address is told apart.
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
from tfleet.discovery.consul.client import ConsulClient, asked
from tfleet.discovery.errors import RegistryUnavailableError
from tfleet.discovery.instance import Instance

_T = TypeVar("_T")

TIMEOUT_S: Final = 10.0
"""How long the agent waits for the answer: a worker that loads its model may be slow to give it."""

_INTERVAL: Final = "1s"  # the least that Consul grants; the first run comes within it
_REMOVE_AFTER: Final = "1m"
_CALL_TIMEOUT_S: Final = 3.0
_MOST_CHARS: Final = 200

# What Consul says of a GET that got an answer, and of one that got none.
_ANSWER: Final = re.compile(r"HTTP GET (?P<url>\S+): (?P<status>\d{3}.*?) Output: (?P<body>.*)", re.DOTALL)
_NO_ANSWER: Final = re.compile(r"(?:Get|GET) \"?(?P<url>\S+?)\"?: (?P<error>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether the worker was reached, and if not why, in words."""

    reached: bool
    error: str = ""


class AddressCheck(Protocol):
    """Somebody else who can be asked to reach a worker. Every method raises a RegistryError."""

    @property
    def where(self) -> str:
        """Who asks the address, in words."""

    def begin(self, instance: Instance) -> str:
        """Have the instance's address asked; returns the name of this check."""

    def finding(self, name: str) -> Finding | None:
        """What came of it; None as long as nothing has."""

    def end(self, name: str) -> None:
        """Forget it. One that is not known is no error."""


class ConsulAddressCheck:
    """An AddressCheck by the agent of a Consul, or by the embedded registry."""

    def __init__(self, registry: Address, service: str, access: Access | None = None) -> None:
        self.where = f"the registry at {registry}"
        self._service = f"{service}-self-test"
        self._consul = ConsulClient(registry, access or Access(), timeout_s=_CALL_TIMEOUT_S)
        self._expected: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<ConsulAddressCheck {self.where} open={len(self._expected)}>"

    def begin(self, instance: Instance) -> str:
        # A name of its own for each try: a check that is registered again keeps what it found before.
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
        return read(found[0], self._expected[name])

    def end(self, name: str) -> None:
        self._expected.pop(name, None)
        self._call(lambda: self._consul.agent.service.deregister(name))

    def _call(self, call: Callable[[], _T]) -> _T:
        return asked(self.where, call, needed=f"service:write for {self._service}")


def read(output: str, worker_id: str) -> Finding | None:
    """What the output of the check says of the worker; None before the first run, when there is none."""
    if not output:
        return None
    if answer := _ANSWER.fullmatch(output):
        status, body = answer["status"], answer["body"]
        if status.startswith("200") and body.strip() == worker_id:
            return Finding(True)
        return Finding(False, f"somebody else answers there: {_detail(body) or _line(f'{status} {body}')}")
    no_answer = _NO_ANSWER.fullmatch(output)
    return Finding(False, _line(no_answer["error"] if no_answer else output))


def _detail(body: str) -> str:
    """The words of a problem document, empty where it is none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    detail = document.get("detail") if isinstance(document, dict) else None
    return _line(detail) if isinstance(detail, str) else ""


def _line(text: str) -> str:
    """On one line and of bounded length."""
    words = " ".join(text.split())
    return words if len(words) <= _MOST_CHARS else f"{words[:_MOST_CHARS]}..."
