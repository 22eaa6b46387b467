"""Asks a fleet from threads, and waits where it says that it is busy.

A worker that is busy says for how long (429 with Retry-After). The client tries others, and waits; what is
refused all the same waits here, and is sent again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa

from tfleet.bulk.errors import CannotScoreError, RunFailedError
from tfleet.bulk.fleet_model import FleetModel, fleet_model, zeros
from tfleet.bulk.isolation import RejectedRowsError
from tfleet.bulk.predictions import FleetLabelPredictions, OutputPredictions, PredictionColumns, output_schema
from tfleet.client.async_client import AsyncFleetClient
from tfleet.client.errors import (
    BadImageError,
    FleetError,
    RejectedInputError,
    TryLaterError,
    UnexpectedAnswerError,
)
from tfleet.client.images.pixels import png_of_array
from tfleet.client.results import Prediction
from tfleet.client.sync_client import LoopThread

T = TypeVar("T")

PATIENCE_S: Final = 300.0
_PAUSE_S: Final = 1.0
_GREY: Final = (64, 64, 3)


class FleetConnection:
    """A client of the fleet, for threads. `clock` and `sleep` are those of `time`.

    `sleep` is for tests; without it a pause ends when the connection is given up.
    """

    def __init__(
        self,
        client: AsyncFleetClient,
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._client = client
        self._loop = LoopThread(client.close)
        self._patience_s = patience_s
        self._clock = clock
        self._given_up = threading.Event()
        self._sleep = self._given_up.wait if sleep is None else sleep

    def __repr__(self) -> str:
        return f"<FleetConnection {self._client!r}>"

    def model(self, signature: str | None = None) -> FleetModel:
        """The model that is asked, by a signature of it or its default one. Raises CannotScoreError."""
        try:
            return fleet_model(self._loop.run(self._client.model_document), signature)
        except FleetError as error:
            raise CannotScoreError(f"{self._client.proxy}: {error}") from error
        except (KeyError, TypeError) as error:
            raise CannotScoreError(f"{self._client.proxy}: does not say what its model is") from error

    def outputs(self, stream: bytes, signature: str | None = None) -> bytes:
        """The outputs for the rows of a stream. Raises RejectedRowsError and RunFailedError."""
        call = lambda: self._client.predict_arrow(stream, signature=signature)  # noqa: E731 - it is created on the loop
        return self._patiently(lambda: self._loop.run(call))

    def labels(self, stream: bytes, top: int) -> Sequence[Any]:
        """The predictions for the rows of a stream. Raises as `outputs` does."""
        call = lambda: self._client.predict_arrow_labels(stream, top)  # noqa: E731 - as above
        return self._patiently(lambda: self._loop.run(call)).predictions

    def image_labels(self, image: Path | bytes, top: int) -> Sequence[Prediction]:
        """The predictions for an image. Raises as `outputs` does."""

        async def ask() -> Sequence[Prediction]:
            # Not `classify`, whose errors name the image: its row does that.
            found = await self._client.outcome(image, top=top)
            if found.classification is None:
                raise found.error or AssertionError("an outcome has an answer or an error")
            return found.classification.predictions

        return self._patiently(lambda: self._loop.run(ask))

    def predictions(self, model: FleetModel, top: int) -> PredictionColumns:
        """The columns of the model's answers. Raises CannotScoreError.

        Only an answer says whether labels have probabilities, so a row of zeros is asked, or a grey image.
        """
        if model.labels is None:
            if top > 1:
                raise CannotScoreError("--top is the number of labels, and the model has none: leave it out")
            return OutputPredictions(output_schema(model.signature))
        try:
            if model.images:
                first = self.image_labels(png_of_array(np.full(_GREY, 127, np.uint8)), 1)
            else:
                (first,) = self.labels(arrow_stream(zeros(model.layout())), 1)
        except (RejectedRowsError, RunFailedError) as error:
            what = "a grey image" if model.images else "a row of zeros"
            raise CannotScoreError(f"{model.name}: does not answer {what}: {error}") from error
        # Labels below the model's threshold are left out. Models that have one give probabilities; an answer
        # that does not is noticed later.
        probabilities = not first or first[0].probability is not None
        return FleetLabelPredictions(probabilities, min(top, len(model.labels)))

    def give_up(self) -> None:
        """End all calls and pauses soon, from any thread or a signal's handler. It does not wait."""
        self._given_up.set()
        threading.Thread(target=self._loop.close, name="give-up", daemon=True).start()

    def close(self) -> None:
        """End the loop and all connections."""
        self._loop.close()

    def _patiently(self, ask: Callable[[], T]) -> T:
        """The answer; what may succeed later is asked again, for as long as the patience lasts."""
        until_s = self._clock() + self._patience_s
        while True:
            try:
                return ask()
            except (BadImageError, RejectedInputError) as error:
                raise RejectedRowsError(str(error)) from error
            except UnexpectedAnswerError as error:  # waiting is no help
                raise RunFailedError(str(error)) from error
            except FleetError as error:
                asked_s = error.retry_after_s if isinstance(error, TryLaterError) else None
                pause_s = _PAUSE_S if asked_s is None else asked_s
                if self._given_up.is_set() or self._clock() + pause_s > until_s:
                    raise RunFailedError(f"the fleet does not answer: {error}") from error
                self._sleep(pause_s)


def arrow_stream(rows: pa.RecordBatch) -> bytes:
    """The rows as an Arrow stream, the body of a request."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(rows)
    content: bytes = sink.getvalue().to_pybytes()
    return content
