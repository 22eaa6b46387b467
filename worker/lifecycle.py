"""What a worker is doing with its life."""

from __future__ import annotations

import math
import threading
import time
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importing it for real imports TensorFlow
    from tfleet.worker.inference import Classifier


class LifecycleState(StrEnum):
    """In this order and never back."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class Lifecycle:
    """The worker's state and, from READY on, its classifier. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = LifecycleState.STARTING
        self._classifier: Classifier | None = None
        self._refusing_since_s = math.inf
        self._obstacle = ""

    def __repr__(self) -> str:
        return f"<Lifecycle {self._state}>"

    @property
    def state(self) -> LifecycleState:
        return self._state

    @property
    def classifier(self) -> Classifier | None:
        """The classifier; None until it is loaded. A draining worker still answers with it."""
        return self._classifier

    @property
    def condition(self) -> str:
        """The state in words and, while the worker starts, what is in the way."""
        if self._state is LifecycleState.STARTING and self._obstacle:
            return f"the worker is {self._state}: {self._obstacle}"
        return f"the worker is {self._state}"

    def loaded(self, classifier: Classifier) -> None:
        """The model is loaded and warm: from now on whoever knows the address is answered."""
        with self._lock:
            self._classifier = classifier

    def held_up(self, obstacle: str) -> None:
        """Something besides the model is in the way of being ready: one line, empty when nothing is."""
        self._obstacle = obstacle

    def ready(self, classifier: Classifier) -> None:
        """The model is loaded and warm, and nothing else is in the way."""
        with self._lock:
            self._classifier = classifier
            if self._state is LifecycleState.STARTING:
                self._state = LifecycleState.READY

    def drain(self) -> None:
        """No longer ready; what still comes is answered until `refuse`."""
        with self._lock:
            self._state = LifecycleState.DRAINING

    def refuse(self) -> None:
        """From now on only what was begun is finished: the fleet has had its time to learn of the end."""
        with self._lock:
            self._refusing_since_s = time.perf_counter()

    def refuses(self, begun_s: float) -> bool:
        """Whether a request is sent away that began then, on the clock of `time.perf_counter`."""
        return begun_s >= self._refusing_since_s
