"""Names that proxy, worker and client share: headers, paths, query keys, ports, defaults; and bounded
integers.
"""

from __future__ import annotations

from typing import Final

SERVICE: Final = "tfleet"
"""The default of `--service`: the name under which workers register."""

PROXY_PORT: Final = 12480
REGISTRY_PORT: Final = 12481

REQUEST_ID: Final = "X-Request-Id"
REQUEST_TIMEOUT_MS: Final = "X-Request-Timeout-Ms"
"""How long the caller waits, in milliseconds. The proxy sends the worker what is left of it."""
RETRIES: Final = "X-Retries"
"""How many other workers were tried before the one that answered."""
WORKER: Final = "X-Worker"
"""In a response: the worker that answered. In a request: the worker it is for; any other worker answers 421
without reading the body.
"""
PROXY: Final = "X-Proxy"
"""In a response to a readiness probe: the id under which this proxy is registered."""
MODEL: Final = "X-Model"
SERVER_TIMING: Final = "Server-Timing"
"""Milliseconds of decode, queue and infer, in the format of https://www.w3.org/TR/server-timing/."""

EMBEDDING: Final = "X-Embedding"
"""With a vector: 64 hexadecimal digits that are the same for vectors that can be compared."""

BATCH_SIZE: Final = "X-Batch-Size"
"""How many requests ran in one session call, this one included."""

QUEUE_LENGTH: Final = "X-Queue-Length"
"""How many requests were queued in the worker when it sent the response."""

JSON_LENGTH: Final = "Inference-Header-Content-Length"
"""How many bytes of a body with binary tensors are JSON: a header of the Open Inference Protocol."""

TICKET: Final = "X-Ticket"
"""A signed ticket (contract/ticket.py). Clients send it to workers; the proxy adds it to requests and
lookups.
"""
TICKET_QUERY: Final = "ticket"
"""The query parameter that carries the ticket where the header cannot be set."""
TICKET_SCHEME: Final = "Tfleet-Ticket"
"""The authentication scheme in the WWW-Authenticate header of a 401 (RFC 9110 section 11.6.1)."""

EMBEDDED_REGISTRY: Final = "tfleet"
"""The embedded registry's Server header. It tells the embedded registry from a Consul."""

IMAGE_FIELDS: Final = ("data", "image")
"""The multipart fields that may hold the image; the first match wins."""

LEASE_SIZE: Final = "n"
"""The query parameter of `GET /worker` that asks for several workers at once."""
MAX_LEASE_SIZE: Final = 64
"""The largest number of workers in one lease."""

LAN: Final = "lan"
WAN: Final = "wan"
"""The names of a worker's two addresses, in the words of Consul's tagged addresses: LAN inside the fleet's
network, WAN for clients outside. See https://developer.hashicorp.com/consul/api-docs/agent/service.
"""
ADDRESS_KIND: Final = "address"
"""The query parameter of a lookup that asks for one of the two addresses."""

LOOKUP_PATH: Final = "/worker"
DRAIN_PATH: Final = "/drain"
CLASSIFY_PATHS: Final = ("/", "/predict")
PREDICT_PATH: Final = "/predict"
EMBED_PATH: Final = "/embed"
"""The vector of an image, where the model has an embedding."""
OPENAPI_PATH: Final = "/openapi.json"
"""The OpenAPI document of a worker or a proxy."""
JOBS_PATH: Final = "/jobs"
"""Requests that may wait: `POST /jobs`, then `GET /jobs/ID`."""
JOB: Final = "X-Job"
"""In the answer of a job: its id."""
JOB_STATE: Final = "X-Job-State"
"""In any answer about a job: `queued`, `running`, `done`, `expired`, `cancelled` or `dead`."""
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
"""Sent with `POST /jobs`: the same key stands for the same job, however often it is sent."""
CALLBACK_URL: Final = "X-Callback-Url"
"""Sent with `POST /jobs`: where the proxy tells that the job is settled."""
QUEUE: Final = "queue"
"""The query parameter that sends a prediction through the queue of jobs: `?queue=1`."""
WAIT: Final = "wait"
"""The query parameter of `GET /jobs/ID`: for how many seconds the answer may be waited for."""
MODELS_PATH: Final = "/models"
"""What a fleet serves. `/models/NAME[/versions/V][/signatures/S][/predict]` names a model, and may name a
version and a signature of it.
"""

DEFAULT_TOP: Final = 5
MAX_HEAD_BYTES: Final = 64 * 1024
"""Limit for the head of a request or response, including its first line."""
MAX_BODY_BYTES: Final = 32 * 1024 * 1024
"""The default of `--max-body-bytes`, on the proxy and on a worker."""


def proxies_of(service: str) -> str:
    """Return the service name under which the proxies of these workers register."""
    return f"{service}-proxy"


_MAX_DIGITS: Final = 15


def whole_number(text: str) -> int | None:
    """Parse decimal digits as a number, 0 or more; None for any other text.

    More than 15 digits are rejected: no valid value is that long, and Python refuses to parse thousands of
    digits.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        return None
    return int(text)
