"""One call of the user's: its name, its deadline, and what they look like on the wire."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tfleet.client.routes.attempts import Attempts
from tfleet.contract import names as contract


@dataclass(frozen=True, slots=True)
class Call:
    """One call, whatever the number of requests that it takes.

    `deadline` is on the clock that `headers` is given, in seconds. `top` is how many predictions are wanted,
    None for as many as the worker thinks fit. `tries` are those that failed so far, in p2p mode.
    """

    request_id: str
    deadline: float
    top: int | None = None
    tries: Attempts = field(default_factory=Attempts, compare=False)

    @property
    def path(self) -> str:
        """Path and query of the classification."""
        return "/predict" if self.top is None else f"/predict?top={self.top}"

    def headers(self, now: float, ticket: str = "", worker: str = "") -> dict[str, str]:
        """The headers of a request sent at `now`: the call's id, what is left of its time, the ticket and
        the worker that it is for.
        """
        left_ms = max(1, math.floor((self.deadline - now) * 1000))
        headers = {contract.REQUEST_ID: self.request_id, contract.REQUEST_TIMEOUT_MS: str(left_ms)}
        if ticket:
            headers[contract.TICKET] = ticket
        if worker:
            headers[contract.WORKER] = worker
        return headers
