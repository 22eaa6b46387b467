"""Parses the bodies, queries and filters of requests.

Blocking queries: https://developer.hashicorp.com/consul/api-docs/features/blocking. Filters: `SELECTOR ==
VALUE`, joined by `and`; https://developer.hashicorp.com/consul/api-docs/features/filtering.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from tfleet.discovery.embedded.errors import RefusedRequestError, SlowBodyError, WrongDatacenterError
from tfleet.discovery.embedded.go_json import BadDurationError, parse_duration
from tfleet.discovery.embedded.limits import RegistryLimits
from tfleet.discovery.embedded.model import DATACENTER

_TERM: Final = re.compile(r'\s*([A-Za-z.]+)\s*==\s*(?:"([^"]*)"|([A-Za-z0-9._:/-]+))\s*')
_AND: Final = re.compile(r"and\b")

_DEFAULT_WAIT_S: Final = 300.0
_MAX_WAIT_S: Final = 600.0
_MAX_INDEX: Final = 2**64 - 1
# Each selects services: to ignore one would return services that the client did not ask for.
_UNSUPPORTED: Final = ("tag", "node-meta")
# The spellings that Go's strconv.ParseBool accepts, as Consul does.
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})


async def read_body(request: web.Request, limits: RegistryLimits) -> bytes:
    """Read the whole body in time; the application limits its size. Raises SlowBodyError."""
    try:
        async with asyncio.timeout(limits.http.body_timeout_s):
            return await request.read()
    except TimeoutError:
        raise SlowBodyError(limits.http.body_timeout_s) from None


def parse_filter(text: str, selectors: Collection[str]) -> Mapping[str, str]:
    """Return each selector with its required value; empty without a filter.

    Raises RefusedRequestError for unsupported filters: to ignore one would return what it excludes.
    """
    wanted: dict[str, str] = {}
    position = 0
    while position < len(text):
        term = _TERM.match(text, position)
        if term is None or term[1] not in selectors or term[1] in wanted:
            raise _refused(selectors)
        wanted[term[1]] = term[3] if term[2] is None else term[2]
        position = term.end()
        if position < len(text):
            joined = _AND.match(text, position)
            if joined is None or joined.end() == len(text):
                raise _refused(selectors)
            position = joined.end()
    return wanted


def _refused(selectors: Collection[str]) -> RefusedRequestError:
    if not selectors:
        return RefusedRequestError("?filter is not supported by the embedded registry")
    forms = " and ".join(f'{selector} == "VALUE"' for selector in selectors)
    return RefusedRequestError(f"?filter: the embedded registry supports only {forms}, or a part of it")


@dataclass(frozen=True, slots=True)
class ReadQuery:
    """The query of a read: with an index over 0 it waits up to `wait_s` for a higher one.

    `wanted` is the filter: each selector with its value.
    """

    index: int = 0
    wait_s: float = _DEFAULT_WAIT_S
    passing: bool = False
    wanted: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, query: Mapping[str, str], *, selectors: Collection[str] = ()) -> ReadQuery:
        """Parse the query string; `selectors` are those allowed in a filter.

        Raises RefusedRequestError, with Consul's text if there is one.
        """
        for name in _UNSUPPORTED:
            if query.get(name):
                raise RefusedRequestError(f"?{name} is not supported by the embedded registry")
        if query.get("dc", DATACENTER) not in {"", DATACENTER}:
            raise WrongDatacenterError
        return cls(
            _index(query.get("index", "")),
            _wait_s(query.get("wait", "")),
            passing=_passing(query),
            wanted=parse_filter(query.get("filter", ""), selectors),
        )


def _wait_s(text: str) -> float:
    if not text:
        return _DEFAULT_WAIT_S
    try:
        wait_s = parse_duration(text)
    except BadDurationError:
        raise RefusedRequestError("Invalid wait time") from None
    return min(wait_s, _MAX_WAIT_S) if wait_s > 0 else _DEFAULT_WAIT_S


def _index(text: str) -> int:
    if not text:
        return 0
    # The length comes first: Python refuses to read a number of thousands of digits with an error of its own.
    if not (text.isascii() and text.isdigit() and len(text.lstrip("0")) <= len(str(_MAX_INDEX))):
        raise RefusedRequestError("Invalid index")
    index = int(text.lstrip("0") or "0")
    if index > _MAX_INDEX:
        raise RefusedRequestError("Invalid index")
    return index


def _passing(query: Mapping[str, str]) -> bool:
    text = query.get("passing")
    if text is None or text in _FALSE:
        return False
    if not text or text in _TRUE:
        return True
    raise RefusedRequestError("Invalid value for ?passing")


def read_enable(query: Mapping[str, str]) -> bool:
    """Parse `?enable=`, which is required. Raises RefusedRequestError."""
    text = query.get("enable")
    if text is None:
        raise RefusedRequestError("Missing value for enable")
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise RefusedRequestError(f"Invalid value for enable: {json.dumps(text)}")
