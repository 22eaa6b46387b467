"""One classification call: its request id and deadline, and the headers that carry them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tfleet.client.routes.attempts import Attempts
from tfleet.contract import names as contract


@dataclass(frozen=True, slots=True)
class Call:
    """One call, which may need several requests.

    `deadline` is in seconds on the clock that `headers` is given. `top` is the number of predictions; None
    for the worker's default. `attempts` are those made so far, in p2p mode.
    """

    request_id: str
    deadline: float
    top: int | None = None
    attempts: Attempts = field(default_factory=Attempts, compare=False)

    @property
    def path(self) -> str:
        """Path and query of the classification."""
        return "/predict" if self.top is None else f"/predict?top={self.top}"

    def headers(self, now: float, ticket: str = "", worker: str = "") -> dict[str, str]:
        """The headers of a request sent at `now`: request id, remaining time, ticket and the worker's id."""
        left_ms = max(1, math.floor((self.deadline - now) * 1000))
        headers = {contract.REQUEST_ID: self.request_id, contract.REQUEST_TIMEOUT_MS: str(left_ms)}
        if ticket:
            headers[contract.TICKET] = ticket
        if worker:
            headers[contract.WORKER] = worker
        return headers
