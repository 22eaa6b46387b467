"""The names that proxy, worker and client share: headers, paths, ports and defaults of the HTTP contract.

Whole numbers in requests.
"""

from __future__ import annotations

from typing import Final

SERVICE: Final = "tfleet"
"""The name under which workers are in the registry, unless `--service` says otherwise."""

PROXY_PORT: Final = 12480
REGISTRY_PORT: Final = 12481

REQUEST_ID: Final = "X-Request-Id"
REQUEST_TIMEOUT_MS: Final = "X-Request-Timeout-Ms"
"""How long the caller will wait; the proxy tells the worker what is left of it."""
RETRIES: Final = "X-Retries"
"""How many other workers had been tried before the one that answered."""
WORKER: Final = "X-Worker"
"""Of an answer, who gave it. Of an image that is sent to a worker, whom it is for: another one refuses it."""
PROXY: Final = "X-Proxy"
"""The id under which a proxy is registered, when somebody asks for its readiness."""
MODEL: Final = "X-Model"
SERVER_TIMING: Final = "Server-Timing"
"""Milliseconds of decode, queue and infer, in the form of https://www.w3.org/TR/server-timing/."""

BATCH_SIZE: Final = "X-Batch-Size"
"""How many images ran in the session together, this one included."""

QUEUE_LENGTH: Final = "X-Queue-Length"
"""How many requests waited for their turn in this worker when the answer went out."""

TICKET: Final = "X-Ticket"
"""Shows that a proxy sent the caller (contract/ticket.py): to a worker, and from a proxy that names one."""
TICKET_QUERY: Final = "ticket"
"""The query with which the same is said to a worker, where there is no such header."""
TICKET_SCHEME: Final = "Tfleet-Ticket"
"""What the WWW-Authenticate of a 401 calls it: RFC 9110 section 11.6.1."""

OWN_REGISTRY: Final = "tfleet"
"""What the embedded registry calls itself in the header Server: no Consul, and nothing to be set for one."""

IMAGE_FIELDS: Final = ("data", "image")
"""The multipart fields in which an image may come, first match first."""

LEASE_SIZE: Final = "n"
"""The query of `GET /worker` that says for how many workers at once it asks."""
MOST_LEASED: Final = 64
"""How many workers a lease may have."""

LAN: Final = "lan"
WAN: Final = "wan"
"""A worker's addresses in its fleet's own network, and for those outside of it: the words of Consul's tagged
addresses, see https://developer.hashicorp.com/consul/api-docs/agent/service."""
NETWORK: Final = "address"
"""The query of a lookup that says which of the two is wanted."""

LOOKUP_PATH: Final = "/worker"
DRAIN_PATH: Final = "/drain"
CLASSIFY_PATHS: Final = ("/", "/predict")
DEFAULT_TOP: Final = 5
MOST_HEAD_BYTES: Final = 64 * 1024
"""Of a request or an answer, its first line included."""
MAX_BODY_BYTES: Final = 32 * 1024 * 1024
"""The default of `--max-body-bytes`, on the proxy and on a worker."""


def proxies_of(service: str) -> str:
    """The name under which the proxies of these workers are in the registry."""
    return f"{service}-proxy"


_MOST_DIGITS: Final = 15


def whole_number(text: str) -> int | None:
    """The number, 0 or more, that the text consists of; None for anything else.

    More than 15 digits are no number here: nobody means them, and Python itself refuses to read thousands.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        return None
    return int(text)
