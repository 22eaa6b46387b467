"""The worker's lifecycle state."""

from __future__ import annotations

import math
import threading
import time
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importing them for real imports TensorFlow
    from tfleet.worker.inference import Classifier
    from tfleet.worker.inference.loaded_model import LoadedModel


class LifecycleState(StrEnum):
    """The states, in their order; a worker never goes back."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class Lifecycle:
    """The worker's state and, from READY on, its model. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = LifecycleState.STARTING
        self._model: LoadedModel | None = None
        self._rejecting_since_s = math.inf
        self._obstacle = ""

    def __repr__(self) -> str:
        return f"<Lifecycle {self._state}>"

    @property
    def state(self) -> LifecycleState:
        return self._state

    @property
    def model(self) -> LoadedModel | None:
        """The model; None until it is loaded. A draining worker still answers with it."""
        return self._model

    @property
    def classifier(self) -> Classifier | None:
        """The model as a classifier of images; None until it is loaded, and if it takes no images."""
        return None if self._model is None else self._model.classifier

    @property
    def condition(self) -> str:
        """The state in words and, while the worker starts, what it waits for."""
        if self._state is LifecycleState.STARTING and self._obstacle:
            return f"the worker is {self._state}: {self._obstacle}"
        return f"the worker is {self._state}"

    def loaded(self, model: LoadedModel) -> None:
        """The model is loaded and warmed up: requests are answered from now on, though the worker is not
        ready yet.
        """
        with self._lock:
            self._model = model

    def held_up(self, obstacle: str) -> None:
        """Something besides the model keeps the worker from being ready: one line; empty when nothing
        does.
        """
        self._obstacle = obstacle

    def ready(self, model: LoadedModel) -> None:
        """The model is loaded and warmed up, and nothing else keeps the worker from being ready."""
        with self._lock:
            self._model = model
            # A drain may have begun in the meantime, and stays.
            if self._state is LifecycleState.STARTING:
                self._state = LifecycleState.READY

    def drain(self) -> None:
        """The worker is no longer ready. It still answers all requests until `refuse` is called."""
        with self._lock:
            self._state = LifecycleState.DRAINING

    def refuse(self) -> None:
        """From now on only requests that have already begun are answered: proxies had time to learn of the
        drain.
        """
        with self._lock:
            self._rejecting_since_s = time.perf_counter()

    def refuses(self, begun_s: float) -> bool:
        """Whether a request that began at `begun_s`, by `time.perf_counter`, is rejected."""
        return begun_s >= self._rejecting_since_s
