"""The registry as a worker sees it: register, heartbeat, deregister. Synchronous, through py-consul."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import consul
import requests
from consul.exceptions import ACLDisabled, ACLPermissionDenied, BadRequest, ClientError, ConsulException

from tfleet.discovery.address import Address
from tfleet.discovery.errors import RegistryRefusedError, RegistryUnavailableError, UnknownServiceError
from tfleet.discovery.instance import Instance

_T = TypeVar("_T")

REMOVE_AFTER: Final = "1m"
"""How long a dead worker stays listed. One minute is the least that Consul grants, see
DeregisterCriticalServiceAfter in https://developer.hashicorp.com/consul/api-docs/agent/check."""


class Agent(Protocol):
    """What a registration needs of a registry. Every method raises a RegistryError."""

    def register(self, instance: Instance) -> None:
        """Make the instance known and passing. Doing it again replaces it."""

    def heartbeat(self, instance: Instance) -> None:
        """Say that it lives. Raises UnknownServiceError where the registry has lost it."""

    def deregister(self, instance: Instance) -> None:
        """Forget it. One that is not known is no error."""


class ConsulAgent:
    """An Agent over Consul's HTTP API.

    `ttl_s` is how long the registry believes in the worker without a heartbeat, `timeout_s` bounds each call.
    """

    def __init__(self, address: Address, service: str, *, ttl_s: float, timeout_s: float = 3.0) -> None:
        self._service = service
        self._ttl = f"{ttl_s:g}s"
        self._where = f"the registry at {address}"
        # The scheme is given so that CONSUL_HTTP_SSL can't change what --registry said.
        self._consul = consul.Consul(address.host, address.port, scheme="http", connections_timeout=timeout_s)

    def __repr__(self) -> str:
        return f"<ConsulAgent {self._where}>"

    def register(self, instance: Instance) -> None:
        check = {"TTL": self._ttl, "Status": "passing", "DeregisterCriticalServiceAfter": REMOVE_AFTER}
        self._call(
            lambda: self._consul.agent.service.register(
                self._service,
                service_id=instance.id,
                address=instance.address.host,
                port=instance.address.port,
                meta={"model": instance.model, "version": instance.version},
                check=check,
            )
        )
        # Registering what is registered already leaves its check as it was, critical perhaps.
        self.heartbeat(instance)

    def heartbeat(self, instance: Instance) -> None:
        try:
            known = self._call(lambda: self._consul.agent.check.ttl_pass(f"service:{instance.id}"))
        except RegistryUnavailableError as error:
            # Consul answers 500 for a check that it does not know, and only the text tells that apart.
            if isinstance(error.__cause__, ConsulException) and "TTL" in str(error.__cause__):
                raise UnknownServiceError(f"{self._where} does not know {instance.id}") from error
            raise
        if not known:  # Consul 1.11 and later say it with 404, which py-consul turns into False
            raise UnknownServiceError(f"{self._where} does not know {instance.id}")

    def deregister(self, instance: Instance) -> None:
        self._call(lambda: self._consul.agent.service.deregister(instance.id))

    def _call(self, call: Callable[[], _T]) -> _T:
        """Run one call and map what can go wrong to the package's own errors."""
        try:
            return call()
        except (ACLDisabled, ACLPermissionDenied, BadRequest, ClientError) as error:
            raise RegistryRefusedError(f"{self._where} refuses: {error}") from error
        except ConsulException as error:
            raise RegistryUnavailableError(f"{self._where} failed: {error}") from error
        except requests.RequestException as error:
            raise RegistryUnavailableError(f"{self._where} does not answer: {_reason(error)}") from error


def _reason(error: requests.RequestException) -> str:
    """The operating system's word for it, which requests and urllib3 wrap in errors of their own."""
    cause: BaseException = error
    while inner := cause.__cause__ or cause.__context__:
        cause = inner
        if isinstance(cause, OSError):
            break
    return str(cause) or type(cause).__name__
