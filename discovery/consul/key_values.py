"""The client of `/v1/kv`: the values below a prefix by blocking queries, and writes with check-and-set.

https://developer.hashicorp.com/consul/api-docs/kv
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import quote

from tfleet.contract.address import Address
from tfleet.discovery.consul.access import Access
from tfleet.discovery.consul.http_client import ConsulHttp, answer_timeout_s

_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class StoredValue:
    """A key's value, and the index of its last change: the `cas` of the next write."""

    value: bytes
    modify_index: int


@dataclass(frozen=True, slots=True)
class StoredValues:
    """The registry's answer about a prefix: its index, and the values by key.

    Without a leader (`has_leader`) the data may be old. It is not `complete` if Consul says that it left
    out what the token may not read.
    """

    index: int
    values: dict[str, StoredValue]
    has_leader: bool = True
    complete: bool = True


class KeyValueStore(Protocol):
    """Where plans are kept. Each method raises a RegistryError."""

    async def below(self, prefix: str, index: int, wait_s: float) -> StoredValues:
        """Return the current values (index 0), or wait for newer ones than `index`, at most `wait_s`."""

    async def put(self, key: str, value: bytes, *, cas: int) -> bool:
        """Write a value if the key's modify index is `cas`, or with 0 if there is no such key.

        False if it is not: somebody else has written.
        """


class ConsulKeyValues:
    """A KeyValueStore over Consul's HTTP API. Create and close it inside a running event loop."""

    def __init__(self, address: Address, *, wait_s: float, access: Access | None = None) -> None:
        self._http = ConsulHttp(address, timeout_s=answer_timeout_s(wait_s), access=access)

    def __repr__(self) -> str:
        return f"<ConsulKeyValues {self._http.where}>"

    async def close(self) -> None:
        await self._http.close()

    async def below(self, prefix: str, index: int, wait_s: float) -> StoredValues:
        since = {"index": str(index)} if index else {}
        query = {"recurse": "", "stale": "", "wait": f"{wait_s:g}s", **since}
        needed = key_rule(prefix, "read")
        with self._http.errors_mapped():
            answer = await self._http.call("GET", _path(prefix), query, needed=needed, may_be_absent=True)
            if answer.status == _NOT_FOUND and not index:
                # Of several keys Consul leaves out what the token may not read. Of one it refuses the read.
                one = {"stale": ""}
                await self._http.call("GET", _path(prefix), one, needed=needed, may_be_absent=True)
            values = {} if answer.status == _NOT_FOUND else _parsed(json.loads(answer.body))
            return StoredValues(answer.index, values, answer.has_leader, answer.complete)

    async def put(self, key: str, value: bytes, *, cas: int) -> bool:
        with self._http.errors_mapped():
            answer = await self._http.call(
                "PUT", _path(key), {"cas": str(cas)}, needed=key_rule(key, "write"), body=value
            )
            return bool(json.loads(answer.body) is True)

    async def delete(self, key: str, *, cas: int) -> bool:
        """Remove a key if its modify index is `cas`. False if it is not. No such key is no error."""
        with self._http.errors_mapped():
            needed = key_rule(key, "write")
            answer = await self._http.call("DELETE", _path(key), {"cas": str(cas)}, needed=needed)
            return bool(json.loads(answer.body) is True)


def key_rule(key: str, policy: str) -> str:
    """The ACL rule that is needed for all keys of a service, `tfleet/SERVICE/...`, given one of them."""
    folders = key.split("/")[:2]
    return f'key_prefix "{"/".join(folders)}/" {{ policy = "{policy}" }}'


def _path(key: str) -> str:
    return f"/v1/kv/{quote(key)}"


def _parsed(entries: Any) -> dict[str, StoredValue]:
    """Raises TypeError or ValueError for what is no Consul's."""
    if not isinstance(entries, list):
        raise TypeError(f"expected a list, got {type(entries).__name__}")
    return dict(map(_stored, entries))


def _stored(entry: Any) -> tuple[str, StoredValue]:
    if not isinstance(entry, dict) or not isinstance(key := entry.get("Key"), str):
        raise TypeError("an entry without a key")
    value, index = entry.get("Value") or "", entry.get("ModifyIndex")
    if not isinstance(value, str) or not isinstance(index, int):
        raise TypeError("an entry without a value")
    return key, StoredValue(base64.b64decode(value, validate=True), index)
