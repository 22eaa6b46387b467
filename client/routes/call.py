"""One call for a prediction: its request id and deadline, and the headers that carry them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from urllib.parse import urlencode

from tfleet.client.routes.attempts import Attempts
from tfleet.contract import names as contract


@dataclass(frozen=True, slots=True)
class Call:
    """One call, which may need several requests.

    `deadline` is in seconds on the clock that `headers` is given. `top` is the number of predictions; None
    for the worker's default. `signature` is the one to run; None for the model's default. `accept` is the
    media type of the answer; empty for the worker's default. What is not `idempotent` is not sent again once
    a worker may have received it; None is what the fleet says of its model. `attempts` are those made so far,
    in p2p mode.
    """

    request_id: str
    deadline: float
    top: int | None = None
    signature: str | None = None
    accept: str = ""
    idempotent: bool | None = None
    attempts: Attempts = field(default_factory=Attempts, compare=False)

    @property
    def path(self) -> str:
        """Path and query of the prediction."""
        asked = {"top": self.top, "signature": self.signature}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        return f"{contract.PREDICT_PATH}?{query}" if query else contract.PREDICT_PATH

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
