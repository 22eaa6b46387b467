"""What answers a request: the application, or for what never reaches it a problem document.

- While the worker drains, each answer says `Connection: close`.
- What the gate does not let in, or an image for which the queue has no place, is not served: the
  application is called all the same, told so by `REJECTED`, so that its answer has all that every answer
  has. The connection is kept, unless much of the body is still to come, or the client asked before it sent
  any.
- What waitress itself refuses (a broken request, a body over the limit) gets a problem document.
"""

from __future__ import annotations

from typing import Any, Final

from waitress.task import ErrorTask, WSGITask

from tfleet.contract.names import DRAIN_PATH, REQUEST_ID
from tfleet.contract.problem import Problem
from tfleet.contract.request_id import request_id

BEGUN: Final = "tfleet.begun_s"
"""The key in the WSGI environment: when the first byte of the request came, by `time.perf_counter`."""

ARRIVED: Final = "tfleet.arrived_s"
"""And when the request was complete."""

QUEUE: Final = "tfleet.queue"
"""The queue for the threads, as it is at any time: a `tfleet.worker.wsgi.admission_queue.Queue`."""

REJECTED: Final = "tfleet.rejected"
"""Why nothing may be done for this request, a Rejection; missing where something may."""

CLIENT_GONE: Final = "tfleet.client_gone"
"""Called without arguments, by any thread, it says whether the client of this request has left since."""


class AppTask(WSGITask):  # type: ignore[misc] # waitress has no types
    """A request that the application answers."""

    wrote_header: bool

    def build_response_header(self) -> bytes:
        if self.channel.server.draining:
            # As if the client had asked for it: the answer says so and the connection ends after it.
            self.request.headers["CONNECTION"] = "close"
        if self.request.ends_connection:
            self.request.headers["CONNECTION"] = "close"
            self.channel.linger = True
        header: bytes = super().build_response_header()
        return header

    def write(self, data: bytes) -> None:
        """Head and body go out together where the body is one piece: two packets cost more, and wake the
        client twice.
        """
        if self.wrote_header or not self.complete or not data or self.content_length != len(data):
            super().write(data)
            return
        head = self.build_response_header()
        self.wrote_header = True
        self.content_bytes_written = len(data)
        self.channel.write_soon(head + data)

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ[BEGUN] = self.request.begun_s
        environ[ARRIVED] = self.request.arrived_s
        environ[QUEUE] = self.channel.server.queue
        environ[CLIENT_GONE] = lambda: not self.channel.connected
        if self.request.rejection is not None:
            environ[REJECTED] = self.request.rejection
        return environ

    def tell(self) -> None:
        """Call the application for its own sake: nobody is there to read the answer."""
        answer = self.channel.server.application(self.get_environment(), lambda *_: None)
        if close := getattr(answer, "close", None):
            close()


class RefusalTask(ErrorTask):  # type: ignore[misc] # waitress has no types
    """A request that never reaches the application."""

    def execute(self) -> None:
        problem = self._problem()
        body = problem.body()
        self.status = f"{problem.status} {problem.title}"
        self.response_headers.extend(problem.headers().items())
        if self.request.path != DRAIN_PATH:
            cors = self.channel.server.cors
            self.response_headers.extend(cors.headers(self.request.headers.get("ORIGIN")).items())
        name = request_id(self.request.headers.get("X_REQUEST_ID"))
        self.response_headers.append((REQUEST_ID, name))
        self.channel.server.note_refusal(name, problem)
        self.set_close_on_finish()
        self.content_length = len(body)
        self.channel.linger = True
        self.write(body)

    def _problem(self) -> Problem:
        error = self.request.error
        if error.code == 413:  # noqa: PLR2004 - an HTTP status
            limit = self.channel.adj.max_request_body_size - 1
            return Problem(413, f"the body is over {limit} bytes, the worker's limit: see --max-body-bytes")
        if error.code == 417:  # noqa: PLR2004 - an HTTP status
            return Problem(417, error.body)
        if error.code == 431:  # noqa: PLR2004 - an HTTP status
            return Problem(431, f"the head is too large: {error.body}")
        if error.code == 408:  # noqa: PLR2004 - an HTTP status
            return Problem(408, f"{error.body}: send the image again, in one go")
        return Problem(error.code, f"the request is not HTTP that can be read: {error.body}")
