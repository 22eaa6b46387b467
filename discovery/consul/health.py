"""The rules of Consul's blocking queries, as functions of data.

Source: https://developer.hashicorp.com/consul/api-docs/features/blocking

The registry as a proxy sees it: the live workers of a service. Asynchronous, through aiohttp.

The question is `stale`: any server of Consul may answer, be there a leader or not. So a proxy that starts
while there is none finds its workers, too. Whether a worker is really there, reachability says.
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
from tfleet.discovery.consul.error_messages import denied, refused, tls_trouble
from tfleet.discovery.errors import RegistryRefusedError, RegistryUnavailableError
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import ServiceList, read_roll
from tfleet.runtime.network_errors import plain_reason

WAIT_S = 30.0


def next_index(asked: int, answered: int) -> int:
    """The index to ask with next, given the one asked with (0: no wait) and the one answered.

    One that went backwards means that the server lost its state: start again at 0. One below 1 is no index:
    asking with 0 would turn the watch into a busy loop, so 1 is asked.
    """
    if answered < 1:
        return 1
    return 0 if answered < asked else answered


def answer_timeout_s(wait_s: float) -> float:
    """How long an answer may take: the server adds up to wait/16 of jitter, the network a little."""
    return wait_s + wait_s / 16 + 5.0


_OK: Final = 200
_FORBIDDEN: Final = 403
_SERVER_ERROR: Final = 500
_MOST_CHARS: Final = 200
# What comes of JSON that is not what Consul says.
_NOT_CONSUL: Final = (ValueError, TypeError, RecursionError)


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """What the registry says of a service: its index and the roll of its workers.

    Without a leader (`led`) it says what was so when there was one. It is not `whole` where Consul says that
    it has left out what the token may not read (1.11 and later do). `own` is the embedded registry's answer,
    which leaves out nothing.
    """

    index: int
    roll: ServiceList
    led: bool = True
    whole: bool = True
    own: bool = False

    @property
    def instances(self) -> tuple[Instance, ...]:
        """The workers whose checks all pass, ordered by id."""
        return self.roll.passing


class Health(Protocol):
    """Where a watch asks. Raises a RegistryError."""

    async def service(self, service: str, index: int, wait_s: float) -> HealthAnswer:
        """The answer now (index 0), or as soon as it is newer than `index`, or after `wait_s`."""


class ConsulHealth:
    """Health over Consul's HTTP API. Made and closed inside a running event loop."""

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

    async def service(self, service: str, index: int, wait_s: float) -> HealthAnswer:
        since = {"index": str(index)} if index else {}
        try:
            head, body = await self._get(service, {"stale": "", "wait": f"{wait_s:g}s", **since})
            led = head.get("X-Consul-KnownLeader") != "false"
            whole = head.get("X-Consul-Results-Filtered-By-ACLs") != "true"
            own = head.get("Server") == EMBEDDED_REGISTRY
            return HealthAnswer(int(head["X-Consul-Index"]), read_roll(json.loads(body)), led, whole, own)
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
        """Head and body of an answer of 200. Raises a RegistryError for another one."""
        headers, context = await asyncio.to_thread(self._presented)
        async with self._session.get(
            self._url + quote(service, safe=""),
            params=query,
            headers=headers,
            ssl=context or True,
            server_hostname=self._credentials.server_name,
            allow_redirects=False,
        ) as answer:
            body = await answer.read()
        if answer.status == _OK:
            return answer.headers, body
        said = body.decode(errors="replace")[:_MOST_CHARS]
        if answer.status == _FORBIDDEN:
            needed = f"service:read for {service} and node:read"
            raise RegistryRefusedError(f"{self._where} refuses: {denied(said, needed)}")
        if answer.status < _SERVER_ERROR:
            raise RegistryRefusedError(f"{self._where} refuses: {refused(f'{answer.status} {said}')}")
        raise RegistryUnavailableError(f"{self._where} failed: {answer.status} {said}")

    def _presented(self) -> tuple[dict[str, str], ssl.SSLContext | None]:
        return self._credentials.headers(), self._credentials.context()


def _reason(error: Exception) -> str:
    return tls_trouble(error) or plain_reason(error)
