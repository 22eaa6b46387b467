"""The endpoints under `/v1/kv`: the key-value store, without sessions and locks.

https://developer.hashicorp.com/consul/api-docs/kv
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from aiohttp import web

from tfleet.discovery.embedded import responses as reply
from tfleet.discovery.embedded.errors import BadNumberError, RefusedRequestError
from tfleet.discovery.embedded.key_values import KeyValue, KeyValues
from tfleet.discovery.embedded.requests import ReadQuery, read_body
from tfleet.discovery.embedded.state import RegistryState

_MAX_NUMBER: Final = 2**64 - 1
# Each is a write under a condition: to ignore one would write without it.
_LOCKS: Final = ("acquire", "release")


class KeyValueAPI:
    """The handlers; `routes` maps them."""

    def __init__(self, agent: RegistryState) -> None:
        self._agent = agent

    @property
    def _current(self) -> KeyValues:
        return self._agent.key_values.current

    def routes(self) -> list[web.RouteDef]:
        """Return the routes. Keys contain slashes, so they take the rest of the path."""
        path = "/v1/kv/{key:.*}"
        return [
            web.get(path, self._read, allow_head=False),
            web.put(path, self._write),
            web.delete(path, self._delete),
        ]

    async def _read(self, request: web.Request) -> web.Response:
        key, query, options = request.match_info["key"], ReadQuery.parse(request.query), request.query
        several = "recurse" in options or "keys" in options
        if not (key or several):
            raise _missing_key()
        if several:
            index = await self._wait(request, query, lambda: self._current.prefix_index(key))
            found = self._current.below(key)
        else:
            index = await self._wait(request, query, lambda: self._current.key_index(key))
            entry = self._current.get(key)
            found = () if entry is None else (entry,)
        if "keys" in options:
            names = _cut_names(found, key, options.get("separator", ""))
            # Consul answers an empty list for the whole store, and 404 for any other prefix.
            return reply.document(names, index=index) if names or not key else reply.no_such_key(index)
        if not found:
            return reply.no_such_key(index)
        if "raw" in options and not several:
            return reply.raw_value(found[0].value, index)
        return reply.document([_document(entry) for entry in found], index=index)

    async def _write(self, request: web.Request) -> web.Response:
        key, options = request.match_info["key"], request.query
        ReadQuery.parse(options)
        if not key:
            raise _missing_key()
        for name in _LOCKS:
            if name in options:
                raise RefusedRequestError(f"?{name} is not supported by the embedded registry")
        flags, cas = _number(options, "flags"), _number(options, "cas")
        value = await read_body(request, self._agent.limits)
        limits = self._agent.limits.key_values

        def put(before: KeyValues) -> KeyValues | None:
            return before.put(key, value, flags=flags or 0, cas=cas, limits=limits)

        return reply.document(await self._agent.key_values.change(put))

    async def _delete(self, request: web.Request) -> web.Response:
        key, options = request.match_info["key"], request.query
        ReadQuery.parse(options)
        cas = _number(options, "cas")
        if "recurse" in options:
            if cas is not None:
                raise RefusedRequestError(f"Conflicting flags: {request.query_string}")
            done = await self._agent.key_values.change(lambda before: before.delete_below(key))
        elif key:
            done = await self._agent.key_values.change(lambda before: before.delete(key, cas=cas))
        else:
            raise _missing_key()
        return reply.document(done)

    async def _wait(self, request: web.Request, query: ReadQuery, index: Callable[[], int]) -> int:
        """Hold a blocking query until it is over; the index to answer with."""
        if query.index:
            gone = partial(_is_gone, request)
            await self._agent.watchers.wait(index, query.index, query.wait_s, gone=gone)
        return index()


def _is_gone(request: web.Request) -> bool:
    return request.transport is None


def _missing_key() -> RefusedRequestError:
    return RefusedRequestError("Missing key name")


def _number(options: Mapping[str, str], name: str) -> int | None:
    """The number of an option, or None without it. Raises BadNumberError."""
    text = options.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise BadNumberError(text, "invalid syntax")
    # The length comes first: Python refuses to read a number of thousands of digits with an error of its own.
    if len(text.lstrip("0")) > len(str(_MAX_NUMBER)) or int(text.lstrip("0") or "0") > _MAX_NUMBER:
        raise BadNumberError(text, "value out of range")
    return int(text)


def _cut_names(found: tuple[KeyValue, ...], prefix: str, separator: str) -> list[str]:
    """The names of the keys, each cut after the first separator behind the prefix, without doubles."""
    names = [entry.key for entry in found]
    if separator:
        names = [_cut(name, prefix, separator) for name in names]
    return list(dict.fromkeys(names))


def _cut(name: str, prefix: str, separator: str) -> str:
    at = name.find(separator, len(prefix))
    return name if at < 0 else name[: at + len(separator)]


def _document(entry: KeyValue) -> reply.Document:
    return {
        "LockIndex": 0,
        "Key": entry.key,
        "Flags": entry.flags,
        "Value": base64.b64encode(entry.value).decode() if entry.value else None,
        "CreateIndex": entry.create_index,
        "ModifyIndex": entry.modify_index,
    }
