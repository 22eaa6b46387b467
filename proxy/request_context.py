"""What the proxy knows of a request beside its head."""

from __future__ import annotations

from aiohttp import web

_REQUEST_ID = web.RequestKey("request_id", str)


def set_request_id(request: web.BaseRequest, value: str) -> None:
    """Give the request its id, once, before anything is done with it."""
    request[_REQUEST_ID] = value


def request_id_of(request: web.BaseRequest) -> str:
    """The id that `set_request_id` gave."""
    return request[_REQUEST_ID]
