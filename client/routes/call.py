"""One call for a prediction: its request id and deadline, and the headers that carry them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from tfleet.client.routes.attempts import Attempts
from tfleet.client.routes.named_model import DEFAULT_MODEL, NamedModel
from tfleet.contract import names as contract

if TYPE_CHECKING:
    from tfleet.client.routes.lookup import FoundWorker


@dataclass(frozen=True, slots=True)
class Call:
    """One call, which may need several requests.

    `deadline` is in seconds on the clock that `headers` is given. `top` is the number of predictions; None
    for the worker's default. `signature` is the one to run; None for the model's default. `accept` is the
    media type of the answer; empty for the worker's default. What is not `idempotent` is not sent again once
    a worker may have received it; None is what the fleet says of its model. `model` is the one that is asked.
    `attempts` are those made so far, in p2p mode. One that `embeds` asks for the vector of an image.
    """

    request_id: str
    deadline: float
    top: int | None = None
    signature: str | None = None
    accept: str = ""
    idempotent: bool | None = None
    model: NamedModel = DEFAULT_MODEL
    attempts: Attempts = field(init=False, default_factory=Attempts, compare=False)
    embeds: bool = False

    @property
    def path(self) -> str:
        """Path and query of the prediction at a proxy."""
        return self._with_query(self.model.path(self._end))

    def path_at(self, worker: FoundWorker) -> str:
        """Path and query of the prediction at a worker."""
        return self._with_query(self.model.path_at(worker, self._end))

    @property
    def _end(self) -> str:
        return contract.EMBED_PATH if self.embeds else contract.PREDICT_PATH

    def _with_query(self, path: str) -> str:
        asked = {"top": self.top, "signature": self.signature}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        return f"{path}?{query}" if query else path

    def headers(self, now: float, ticket: str = "", worker: str = "") -> dict[str, str]:
        """The headers of a request sent at `now`: request id, remaining time, ticket and the worker's id."""
        left_ms = max(1, math.floor((self.deadline - now) * 1000))
        headers = {contract.REQUEST_ID: self.request_id, contract.REQUEST_TIMEOUT_MS: str(left_ms)}
        if self.accept:
            headers["Accept"] = self.accept
        if ticket:
            headers[contract.TICKET] = ticket
        if worker:
            headers[contract.WORKER] = worker
        return headers
