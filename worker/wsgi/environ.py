"""Makes the WSGI environ (PEP 3333) of a request."""

from __future__ import annotations

import io
import sys
from typing import Any, Final

from tfleet.contract.address import Address
from tfleet.httpd.http1.request import RequestHead

BEGUN: Final = "tfleet.begun_s"
"""When the head of the request had been read, by `time.perf_counter`."""

ARRIVED: Final = "tfleet.arrived_s"
"""When the request was complete, by `time.perf_counter`."""

QUEUE: Final = "tfleet.queue"
"""The queue of the server: a `tfleet.worker.wsgi.admission_queue.AdmissionQueue`."""

REJECTED: Final = "tfleet.rejected"
"""Why this request is rejected: a Rejection; missing if it is not."""

FAILED: Final = "tfleet.failed"
"""The exception that the request has failed with before it came to the application, which answers it as one
of its own; missing if there is none.
"""

CLIENT_GONE: Final = "tfleet.client_gone"
"""A function without arguments, for any thread: whether the client of this request has left."""

_SERVER: Final = "tfleet"
_SEPARATORS: Final = {"cookie": "; "}
_BASE: Final[dict[str, Any]] = {
    "REMOTE_HOST": "",
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": _SERVER,
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,  # so that Werkzeug reads it as it is, without a copy
}


def path_info(head: RequestHead) -> str:
    """The path of the request, in latin-1.

    Escapes stay, though PEP 3333 decodes them: the proxy compares paths as they were sent, and a request must
    have the same handler here and there. `/%70redict` and `//predict` are not `/predict`. Flask takes any
    number of slashes at the beginning for one, so the second one is escaped.
    """
    path = head.target.partition(b"?")[0].decode("latin-1")
    return f"/%2F{path[2:]}" if path.startswith("//") else path


def environ_of(
    head: RequestHead, *, path: str, peer: str | None, local: Address, body: bytes
) -> dict[str, Any]:
    """The environ. `path` is what `path_info` says, `local` the address that the server listens at.

    CONTENT_LENGTH is the length of `body`, also where that came in chunks.
    """
    environ = {
        **_BASE,
        "REQUEST_METHOD": head.method.decode("ascii"),
        "PATH_INFO": path,
        "QUERY_STRING": head.query,
        "SERVER_PROTOCOL": "HTTP/1.0" if head.http_1_0 else "HTTP/1.1",
        "SERVER_NAME": local.host,
        "SERVER_PORT": str(local.port),
        "REMOTE_ADDR": peer or "",
        "REMOTE_HOST": peer or "",
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
    }
    for name, text in header_texts(head).items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = text
    return environ


def header_texts(head: RequestHead) -> dict[str, str]:
    """The headers by their names in lower case, as text. Those that occur several times are joined.

    Names with `_` are left out: in an environ, X_Ticket would be taken for X-Ticket.
    """
    found: dict[str, str] = {}
    for name, value in head.headers():
        if b"_" not in name:
            key, text = name.decode("ascii"), value.decode("latin-1")
            found[key] = f"{found[key]}{_SEPARATORS.get(key, ', ')}{text}" if key in found else text
    return found
