"""Asynchronous calls of Consul's HTTP API, with aiohttp: token, TLS and time-outs, and errors mapped to ours.

The rules of blocking queries are from https://developer.hashicorp.com/consul/api-docs/features/blocking.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp

from tfleet.contract.address import Address
from tfleet.contract.names import EMBEDDED_REGISTRY
from tfleet.discovery.consul.access import Access
from tfleet.discovery.consul.credentials import Credentials
from tfleet.discovery.consul.error_messages import explain_denied, explain_rejected, explain_tls_error
from tfleet.discovery.errors import RegistryRefusedError, RegistryUnavailableError
from tfleet.runtime.network_errors import plain_reason

WAIT_S: Final = 30.0
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
_NOT_FOUND: Final = 404
_SERVER_ERROR: Final = 500
_MAX_CHARS: Final = 200
# The errors of parsing JSON that is not a Consul's.
_NOT_CONSUL: Final = (ValueError, TypeError, RecursionError)


@dataclass(frozen=True, slots=True)
class ConsulAnswer:
    """Consul's answer: 200 or, where the caller takes it, 404."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def index(self) -> int:
        """The index for the next blocking query. Raises KeyError without one, ValueError for no number."""
        return int(self.headers["X-Consul-Index"])

    @property
    def has_leader(self) -> bool:
        """Whether Consul had a leader. Without one the data may be old."""
        return self.headers.get("X-Consul-KnownLeader") != "false"

    @property
    def complete(self) -> bool:
        """False if Consul says that it left out what the token may not read (1.11 and later do)."""
        return self.headers.get("X-Consul-Results-Filtered-By-ACLs") != "true"

    @property
    def embedded(self) -> bool:
        """Whether the embedded registry answered."""
        return self.headers.get("Server") == EMBEDDED_REGISTRY


class ConsulHttp:
    """Calls of one registry. Create and close it inside a running event loop.

    `timeout_s` limits each call; for blocking queries see `answer_timeout_s`.
    """

    def __init__(self, address: Address, *, timeout_s: float, access: Access | None = None) -> None:
        access = access or Access()
        self.where = f"the registry at {address}"
        self._url = f"{access.scheme}://{address}"
        self._credentials = Credentials(access)
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout_s), cookie_jar=aiohttp.DummyCookieJar()
        )

    def __repr__(self) -> str:
        return f"<ConsulHttp {self.where}>"

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    @contextlib.contextmanager
    def errors_mapped(self) -> Iterator[None]:
        """Within the block an answer that is no Consul's, or none, raises RegistryUnavailableError."""
        try:
            yield
        except TimeoutError as error:
            raise RegistryUnavailableError(f"{self.where} does not answer: timed out") from error
        except (aiohttp.ClientError, OSError) as error:
            reason = explain_tls_error(error) or plain_reason(error)
            raise RegistryUnavailableError(f"{self.where} does not answer: {reason}") from error
        except KeyError as error:
            raise self._not_consul("no index") from error
        except _NOT_CONSUL as error:
            raise self._not_consul(str(error)) from error

    async def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        needed: str,
        body: bytes | None = None,
        may_be_absent: bool = False,
    ) -> ConsulAnswer:
        """Return a 200; with `may_be_absent` also a 404. Any other status raises a RegistryError.

        `path` is quoted. `needed` names the ACL rules that the call's token needs.
        """
        # In a thread, because it reads files.
        headers, context = await asyncio.to_thread(self._read_credentials)
        async with self._session.request(
            method,
            self._url + path,
            params=query,
            data=body,
            headers=headers,
            ssl=context or True,
            server_hostname=self._credentials.server_name,
            allow_redirects=False,  # the token goes along with each request, so only to the chosen registry
        ) as answer:
            content = await answer.read()
        if answer.status == _OK or (may_be_absent and answer.status == _NOT_FOUND):
            return ConsulAnswer(answer.status, answer.headers, content)
        said = content.decode(errors="replace")[:_MAX_CHARS]
        if answer.status == _FORBIDDEN:
            raise RegistryRefusedError(f"{self.where} refuses: {explain_denied(said, needed)}")
        if answer.status < _SERVER_ERROR:
            raise RegistryRefusedError(f"{self.where} refuses: {explain_rejected(f'{answer.status} {said}')}")
        raise RegistryUnavailableError(f"{self.where} failed: {answer.status} {said}")

    def _not_consul(self, reason: str) -> RegistryUnavailableError:
        return RegistryUnavailableError(f"{self.where} does not answer as Consul does: {reason}")

    def _read_credentials(self) -> tuple[dict[str, str], ssl.SSLContext | None]:
        return self._credentials.headers(), self._credentials.context()
