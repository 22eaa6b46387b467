"""Makes vectors with the workers of a fleet: `tfleet retrain --fleet`.

- The model that is written consists of a model here and a head, so a vector of another model would be of no
  use. The fleet's vectors must be of its space: of the same files, preparation and tensor, in one precision.
- The first answer says which version of which model makes the vectors, and all others have to be its own. A
  fleet that changes during the run, or of which some workers run in another precision, ends it.
- A busy fleet (429) says for how long; until then nothing more is sent. Photographs are sent again for as
  long as the patience lasts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tfleet.client.async_client import AsyncFleetClient
from tfleet.client.errors import (
    BadImageError,
    FleetError,
    FleetUnavailableError,
    TryLaterError,
    UnexpectedAnswerError,
)
from tfleet.client.images.pixels import png_of_array
from tfleet.client.sync_client import LoopThread
from tfleet.training.errors import CannotRetrainError, RetrainFailedError
from tfleet.worker.inference.precision import PRECISIONS
from tfleet.worker.model.embedding import vector_space

if TYPE_CHECKING:
    import numpy.typing as npt

    from tfleet.client.results import ImageVector
    from tfleet.worker.model.spec import ModelSpec

PATIENCE_S: Final = 300.0
CONCURRENCY: Final = 32
"""Requests at a time: enough for a few workers. The fleet says itself when it is too much."""
_FIRST_PATIENCE_S: Final = 10.0
_PAUSE_S: Final = 1.0
_GREY: Final = (64, 64, 3)


@dataclass(frozen=True, slots=True)
class Pauses:
    """How long a fleet is waited for that is busy or away, by which clock.

    `sleep` is for tests; without it a pause ends when the embedder is closed.
    """

    patience_s: float = PATIENCE_S
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Any] | None = None


DEFAULT_PAUSES: Final = Pauses()


class FleetEmbedder:
    """An `Embedder` whose vectors a fleet makes. Call `connect`."""

    most_photos = 1
    """A request has one image. Many threads send many."""

    def __init__(self, asking: _Asking, first: ImageVector) -> None:
        self.key = first.space
        self.dimensions = len(first.vector)
        self.concurrency = CONCURRENCY
        self.model = first.model
        """`NAME/VERSION` of what makes the vectors."""
        self._asking = asking

    def __repr__(self) -> str:
        return f"<FleetEmbedder {self._asking} {self.model}>"

    @classmethod
    def connect(
        cls, client: AsyncFleetClient, spec: ModelSpec, pauses: Pauses = DEFAULT_PAUSES
    ) -> FleetEmbedder:
        """Ask a fleet for a first vector; it must be of the model that `spec` describes.

        The client is closed with the embedder. Raises CannotRetrainError, RetrainFailedError and ModelError.
        """
        spaces = {vector_space(spec, precision) for precision in PRECISIONS}
        loop = LoopThread(client.close)
        try:
            grey = png_of_array(np.full(_GREY, 127, np.uint8))
            asking = _Asking(client, loop, pauses)
            try:
                first = asking.vector(grey)
            except UnexpectedAnswerError as error:
                raise CannotRetrainError(str(error)) from error
            if isinstance(first, str):
                raise CannotRetrainError(f"{client.proxy}: refuses a grey picture: {first}")
            if first.space not in spaces:
                raise CannotRetrainError(
                    f"{client.proxy}: {first.model or 'its model'} makes other vectors than {spec.origin}, "
                    "which the new model begins with: give workers and --backbone the same model folder"
                )
            return cls(asking, first)
        except BaseException:
            loop.close()
            raise

    def embed(self, photos: Sequence[bytes]) -> list[npt.NDArray[Any] | str]:
        """See `Embedder`."""
        return [self._one(photo) for photo in photos]

    def close(self) -> None:
        """End the connections. Pauses and calls of other threads end, too."""
        self._asking.end()

    def _one(self, photo: bytes) -> npt.NDArray[Any] | str:
        try:
            found = self._asking.vector(photo)
        except UnexpectedAnswerError as error:
            raise RetrainFailedError(str(error)) from error
        if isinstance(found, str):
            return found
        if found.space != self.key or len(found.vector) != self.dimensions:
            raise RetrainFailedError(
                f"{self._asking}: {found.worker or 'a worker'} ({found.model}) makes other vectors than "
                f"{self.model} made at the start: run it again when the fleet serves one version of it, with "
                "the same --precision on all workers"
            )
        return np.asarray(found.vector)


class _Asking:
    """Asks for vectors from any thread, and waits where the fleet says that it is busy."""

    def __init__(self, client: AsyncFleetClient, loop: LoopThread, pauses: Pauses) -> None:
        self._client = client
        self._loop = loop
        self._pauses = pauses
        self._ended = threading.Event()
        self._reached = False
        self._free_at_s = pauses.clock()
        """Until then nothing is sent: a busy fleet needs rest from all threads."""

    def __str__(self) -> str:
        return self._client.proxy

    def __repr__(self) -> str:
        return f"<_Asking {self._client!r}>"

    def vector(self, photo: bytes) -> ImageVector | str:
        """The vector, or why the fleet refuses the photograph.

        Raises RetrainFailedError, and UnexpectedAnswerError for what can't get better.
        """
        clock = self._pauses.clock
        began_s = clock()
        while True:
            self._rest(self._free_at_s - clock())
            if self._ended.is_set():
                raise RetrainFailedError("the connections to the fleet are closed")
            outcome = self._loop.run(lambda: self._client.vector_outcome(photo))
            error = outcome.error
            if outcome.embedding is not None:
                self._reached = True
                return outcome.embedding
            if isinstance(error, BadImageError):
                return str(error)
            assert error is not None, "an outcome has a vector or an error"
            if isinstance(error, UnexpectedAnswerError):  # waiting is no help
                raise error
            asked_s = error.retry_after_s if isinstance(error, TryLaterError) else None
            free_at_s = clock() + (_PAUSE_S if asked_s is None else asked_s)
            if free_at_s > began_s + self._patience_s(error):
                raise RetrainFailedError(f"the fleet does not answer: {error}") from error
            self._free_at_s = max(self._free_at_s, free_at_s)

    def _patience_s(self, error: FleetError) -> float:
        """How long an error is waited for. An address where nobody ever answered is likely a wrong one."""
        if isinstance(error, FleetUnavailableError) and error.status is None and not self._reached:
            return min(_FIRST_PATIENCE_S, self._pauses.patience_s)
        return self._pauses.patience_s

    def end(self) -> None:
        """End pauses, calls and connections."""
        self._ended.set()
        self._loop.close()

    def _rest(self, pause_s: float) -> None:
        if pause_s > 0:
            (self._pauses.sleep or self._ended.wait)(pause_s)
