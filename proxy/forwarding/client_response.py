"""The response to one request, as its client gets it: a worker's, or a problem document of the proxy."""

from __future__ import annotations

from typing import Final

from tfleet.contract.cors import Cors
from tfleet.contract.problem import Problem
from tfleet.httpd.http1.local_response import LAST_CHUNK, connection_lines, problem_to
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.http1.response import ResponseHead
from tfleet.httpd.interfaces import Client
from tfleet.proxy.forwarding.heads import client_head

_BAD_REQUEST: Final = 400
_HEAD: Final = b"HEAD"


class ClientResponse:
    """Sends a worker's response with `begin`, `send`, `end` and `finish`, or a problem with `send_problem`.

    Once it has `begun`, the client may have a part of it, and the request cannot be retried.
    """

    __slots__ = (
        "_chunked",
        "_client",
        "_cors",
        "_keep",
        "_request",
        "_request_id",
        "_unsent",
        "begun",
        "worker",
    )

    def __init__(self, request: RequestHead, request_id: str, client: Client, cors: Cors) -> None:
        self.begun = False
        self.worker: str | None = None
        """The id of the worker that answers, as it says itself."""
        self._request = request
        self._request_id = request_id
        self._client = client
        self._cors = cors
        self._unsent = b""
        """The head, until the first piece of the body goes out with it."""
        self._chunked = False
        self._keep = False

    def __repr__(self) -> str:
        return f"<ClientResponse {'begun' if self.begun else 'waiting'}>"

    def begin(self, head: ResponseHead, *, worker_id: str, retries: int) -> None:
        """Begin a worker's response. Its head goes out with the first piece, or with the end."""
        request = self._request
        self.begun = True
        endless = head.length_bytes is None
        # HTTP/1.0 has no chunks: there the end of the connection ends the body, which so cannot be kept
        # alive.
        self._chunked = endless and not request.http_1_0
        self._keep = request.keep_alive and self._client.may_keep_alive and not (endless and request.http_1_0)
        named = head.worker
        self.worker = worker_id if named is None else named.decode("latin-1")
        self._unsent = client_head(
            head,
            worker=self.worker,
            request_id=self._request_id,
            retries=retries,
            connection=connection_lines(request, keep=self._keep),
            cors=self._cors_lines(),
            chunked=self._chunked,
        )

    def send(self, piece: bytes) -> None:
        """Send the next piece of the body, which comes without its framing."""
        begin, self._unsent = self._unsent, b""
        if self._chunked:
            begin += b"%x\r\n" % len(piece)
            piece += b"\r\n"
        self._client.send(begin + piece if begin else piece)

    def end(self) -> None:
        """The body is complete."""
        end, self._unsent = self._unsent, b""
        if self._chunked and self._request.method != _HEAD:
            end += LAST_CHUNK
        if end:
            self._client.send(end)

    def send_problem(self, problem: Problem, *, body_ended: bool) -> None:
        """Send a problem document. Nothing of a response was sent yet."""
        request = self._request
        # With an unread or unreadable rest of the body the next request could not be found in the stream.
        goes_on = body_ended and problem.status != _BAD_REQUEST
        self._keep = goes_on and request.keep_alive and self._client.may_keep_alive
        lines = connection_lines(request, keep=self._keep) + self._cors_lines()
        self._client.send(problem_to(request, problem, self._request_id, connection=lines))

    def finish(self) -> None:
        """Say that everything was sent."""
        self._client.finish(keep=self._keep)

    def _cors_lines(self) -> tuple[bytes, ...]:
        """Return the lines that tell a browser whether the page may read the response."""
        return self._cors.lines(self._request.origin) if self._cors else ()
