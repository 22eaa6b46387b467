"""Decides by the head of a request what becomes of it.

- What may need the model (a POST to anything but `/drain`, and a GET of a `/predict`, whose query is the
  input) waits in the queue for one of the threads: see image_request.py. Small ones for a model that takes no
  images need no thread: see direct.py.
- All else is a page, which has threads of its own or is answered at once: see page_request.py. So an
  overloaded worker still passes its health checks, and an operator can inspect and drain it.
- `OPTIONS *` asks about the server, not about the application, and is answered here.
- A request that names another worker, or that needs a ticket and has none, is refused by its head.
"""

from __future__ import annotations

from typing import Final

from tfleet.contract.names import DRAIN_PATH, MODELS_PATH, PREDICT_PATH
from tfleet.contract.problem import Problem
from tfleet.contract.request_id import request_id
from tfleet.httpd.http1.expect import unmet_expectation
from tfleet.httpd.http1.local_response import connection_lines, local_response, options_head
from tfleet.httpd.http1.request import ANY_RESOURCE, RequestHead
from tfleet.httpd.interfaces import Client, OpenRequest
from tfleet.worker.rejection import Rejection
from tfleet.worker.wsgi.context import WsgiContext
from tfleet.worker.wsgi.environ import path_info
from tfleet.worker.wsgi.image_request import ImageRequest, awaits_body
from tfleet.worker.wsgi.page_request import WorkerPageRequest

_POST: Final = b"POST"
_GETS: Final = frozenset({b"GET", b"HEAD"})
_BELOW_MODELS: Final = f"{MODELS_PATH}/"
_MODEL_CALLED_PREDICT: Final = f"{MODELS_PATH}{PREDICT_PATH}"
_OPTIONS_HEAD: Final = options_head()


class Bridge:
    """The Handler (httpd/interfaces.py) of all requests to a worker."""

    def __init__(self, context: WsgiContext) -> None:
        self._context = context

    def __call__(self, head: RequestHead, client: Client) -> OpenRequest | None:
        problem = self._refusal(head)
        if problem is not None:
            self._context.refuse(head, client, problem, keep=not awaits_body(head))
            return None
        path = path_info(head)
        if head.method == _POST or predicts(head.method, path):
            rejection = self._rejected_at_head(head)
            if rejection is not None or path != DRAIN_PATH:
                return ImageRequest(self._context, head, client, path, rejection)
        if head.target == ANY_RESOURCE:
            self._answer_options(head, client)
            return None
        return WorkerPageRequest(self._context, head, client, path)

    def _answer_options(self, head: RequestHead, client: Client) -> None:
        keep = not awaits_body(head) and head.keep_alive and client.may_keep_alive
        lines = connection_lines(head, keep=keep) + self._context.site.cors.lines(head.origin)
        name = request_id(head.request_id)
        client.send(local_response(_OPTIONS_HEAD, b"", name, connection=lines, method=head.method))
        client.finish(keep=keep)

    def _refusal(self, head: RequestHead) -> Problem | None:
        """The problem of a request that is refused at any path, or None."""
        if (unmet := unmet_expectation(head)) is not None:
            return unmet
        limits = self._context.site.body_limits
        return limits.too_large() if head.length_bytes > limits.max_bytes else None

    def _rejected_at_head(self, head: RequestHead) -> Rejection | None:
        worker, check = head.worker, self._context.site.check_ticket
        if worker is not None and worker != self._context.site.worker:
            return Rejection.MISDIRECTED
        return None if check is None else check(head.ticket, head.query)


def predicts(method: bytes, path: str) -> bool:
    """Whether a request without a body asks for a prediction: the input is in its query."""
    if method not in _GETS or not path.endswith(PREDICT_PATH):
        return False
    return path == PREDICT_PATH or (path.startswith(_BELOW_MODELS) and path != _MODEL_CALLED_PREDICT)
