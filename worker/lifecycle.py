"""What a worker is doing with its life."""

from __future__ import annotations

import threading
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importing it for real imports TensorFlow
    from tfleet.worker.model import Classifier


class State(StrEnum):
    """In this order and never back."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class Lifecycle:
    """The worker's state and, from READY on, its classifier. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = State.STARTING
        self._classifier: Classifier | None = None
        self._refusing = False

    def __repr__(self) -> str:
        return f"<Lifecycle {self._state}>"

    @property
    def state(self) -> State:
        return self._state

    @property
    def classifier(self) -> Classifier | None:
        """The classifier; None while the worker starts. A draining worker still answers with it."""
        return self._classifier

    def ready(self, classifier: Classifier) -> None:
        """The model is loaded and warm."""
        with self._lock:
            self._classifier = classifier
            if self._state is State.STARTING:
                self._state = State.READY

    @property
    def refusing(self) -> bool:
        """Whether images are sent away: the fleet has had its time to learn that this worker leaves."""
        return self._refusing

    def drain(self) -> None:
        """No longer ready; what still comes is answered until `refuse`."""
        with self._lock:
            self._state = State.DRAINING

    def refuse(self) -> None:
        """From now on only what was begun is finished."""
        with self._lock:
            self._refusing = True
