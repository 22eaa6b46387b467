"""The client of `/v1/health/service`: the live instances of a service, by blocking queries. Asynchronous,
with aiohttp.

The rules of blocking queries are from https://developer.hashicorp.com/consul/api-docs/features/blocking.
Queries are `stale`: any Consul server may answer, even without a leader. So a proxy that starts while
there is no leader still finds its workers; whether they are alive, health checks decide.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import quote

import aiohttp

from tfleet.contract.address import Address
from tfleet.contract.names import EMBEDDED_REGISTRY
from tfleet.discovery.consul.access import Access
from tfleet.discovery.consul.credentials import Credentials
from tfleet.discovery.consul.error_messages import explain_denied, explain_rejected, explain_tls_error
from tfleet.discovery.consul.health_json import parse_service_list
from tfleet.discovery.errors import RegistryRefusedError, RegistryUnavailableError
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import ServiceList
from tfleet.runtime.network_errors import plain_reason

WAIT_S = 30.0
"""How long a blocking query waits for a change, in seconds."""


def next_index(sent: int, answered: int) -> int:
    """Return the index for the next query, given the one sent (0: do not block) and the one in the answer.

    A lower index means that the server lost its state: start again with 0. An index below 1 is invalid:
    sending 0 would make the watch a busy loop, so 1 is sent.
    """
    if answered < 1:
        return 1
    return 0 if answered < sent else answered


def answer_timeout_s(wait_s: float) -> float:
    """Return the time limit for an answer: the server adds up to wait/16 of jitter, and the network takes a
    little.
    """
    return wait_s + wait_s / 16 + 5.0


_OK: Final = 200
_FORBIDDEN: Final = 403
_SERVER_ERROR: Final = 500
_MAX_CHARS: Final = 200
# The errors of parsing JSON that is not a Consul's.
_NOT_CONSUL: Final = (ValueError, TypeError, RecursionError)


@dataclass(frozen=True, slots=True)
class HealthResponse:
    """The registry's answer about a service: its index and its instances.

    Without a leader (`has_leader`) the data may be old. It is not `complete` if Consul says that it left
    out what the token may not read (1.11 and later do). `embedded` is whether the embedded registry
    answered, which leaves out nothing.
    """

    index: int
    services: ServiceList
    has_leader: bool = True
    complete: bool = True
    embedded: bool = False

    @property
    def instances(self) -> tuple[Instance, ...]:
        """The instances whose checks all pass, ordered by id."""
        return self.services.passing


class Health(Protocol):
    """The source of a Watch. Raises a RegistryError."""

    async def service(self, service: str, index: int, wait_s: float) -> HealthResponse:
        """Return the current answer (index 0), or wait until it is newer than `index`, at most `wait_s`."""


class ConsulHealth:
    """Health over Consul's HTTP API. Create and close it inside a running event loop."""

    def __init__(self, address: Address, *, wait_s: float, access: Access | None = None) -> None:
        access = access or Access()
        self._where = f"the registry at {address}"
        self._url = f"{access.scheme}://{address}/v1/health/service/"
        self._credentials = Credentials(access)
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=answer_timeout_s(wait_s)), cookie_jar=aiohttp.DummyCookieJar()
        )

    def __repr__(self) -> str:
        return f"<ConsulHealth {self._where}>"

    async def close(self) -> None:
        await self._session.close()

    async def service(self, service: str, index: int, wait_s: float) -> HealthResponse:
        since = {"index": str(index)} if index else {}
        # A stale read: any server may answer, so the list is there even while Consul has no leader.
        try:
            head, body = await self._get(service, {"stale": "", "wait": f"{wait_s:g}s", **since})
            has_leader = head.get("X-Consul-KnownLeader") != "false"
            complete = head.get("X-Consul-Results-Filtered-By-ACLs") != "true"
            embedded = head.get("Server") == EMBEDDED_REGISTRY
            return HealthResponse(
                int(head["X-Consul-Index"]),
                parse_service_list(json.loads(body)),
                has_leader,
                complete,
                embedded,
            )
        except TimeoutError as error:
            raise RegistryUnavailableError(f"{self._where} does not answer: timed out") from error
        except (aiohttp.ClientError, OSError) as error:
            raise RegistryUnavailableError(f"{self._where} does not answer: {_reason(error)}") from error
        except KeyError as error:
            raise RegistryUnavailableError(
                f"{self._where} does not answer as Consul does: no index"
            ) from error
        except _NOT_CONSUL as error:
            raise RegistryUnavailableError(
                f"{self._where} does not answer as Consul does: {error}"
            ) from error

    async def _get(self, service: str, query: dict[str, str]) -> tuple[Mapping[str, str], bytes]:
        """Return head and body of a 200. Raises a RegistryError for any other status."""
        # In a thread, because it reads files.
        headers, context = await asyncio.to_thread(self._read_credentials)
        async with self._session.get(
            self._url + quote(service, safe=""),
            params=query,
            headers=headers,
            ssl=context or True,
            server_hostname=self._credentials.server_name,
            allow_redirects=False,  # the token goes along with each request, so only to the chosen registry
        ) as answer:
            body = await answer.read()
        if answer.status == _OK:
            return answer.headers, body
        said = body.decode(errors="replace")[:_MAX_CHARS]
        if answer.status == _FORBIDDEN:
            needed = f"service:read for {service} and node:read"
            raise RegistryRefusedError(f"{self._where} refuses: {explain_denied(said, needed)}")
        if answer.status < _SERVER_ERROR:
            raise RegistryRefusedError(
                f"{self._where} refuses: {explain_rejected(f'{answer.status} {said}')}"
            )
        raise RegistryUnavailableError(f"{self._where} failed: {answer.status} {said}")

    def _read_credentials(self) -> tuple[dict[str, str], ssl.SSLContext | None]:
        return self._credentials.headers(), self._credentials.context()


def _reason(error: Exception) -> str:
    return explain_tls_error(error) or plain_reason(error)
