"""What a prediction reads of its request, whichever way that came: through Flask, or from the event loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfleet.worker.api.query import QueryArgs, query_args
from tfleet.worker.wsgi.environ import ARRIVED, BEGUN, REJECTED

if TYPE_CHECKING:
    from flask import Request

    from tfleet.worker.rejection import Rejection


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """`args` are the parameters in the query, and `header` looks a header up, in any case of letters.

    Times are by `time.perf_counter`, and None where nobody took them: when the head had been read, and when
    the request was complete.
    """

    method: str
    query: str
    args: QueryArgs
    header: Callable[[str], str | None]
    body: Callable[[], bytes]
    begun_s: float | None = None
    arrived_s: float | None = None
    rejection: Rejection | None = None

    @classmethod
    def of(cls, request: Request) -> PredictionRequest:
        """The one that Flask has."""
        environ, query = request.environ, request.query_string.decode("latin-1")
        return cls(
            request.method,
            query,
            query_args(query),
            request.headers.get,
            lambda: request.get_data(cache=False),
            environ.get(BEGUN),
            environ.get(ARRIVED),
            environ.get(REJECTED),
        )
