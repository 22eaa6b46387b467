"""What a worker serves, whatever kind of model it is. No TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tfleet.worker.inference.batch_check import BatchCheck
    from tfleet.worker.inference.class_scores import ClassScores
    from tfleet.worker.inference.classifier import Classifier
    from tfleet.worker.inference.model_session import ModelSession
    from tfleet.worker.inference.predictor import Predictor
    from tfleet.worker.model.facts import ModelFacts
    from tfleet.worker.model.spec import ModelSpec


class LoadedModel(Protocol):
    """A model in its session. All methods may be called from any thread."""

    @property
    def spec(self) -> ModelSpec:
        """Its description."""

    @property
    def facts(self) -> ModelFacts:
        """What it is, and how that is known."""

    @property
    def session(self) -> ModelSession:
        """Runs its signatures one at a time."""

    @property
    def predictor(self) -> Predictor:
        """Runs its signatures for many callers."""

    @property
    def classifier(self) -> Classifier | None:
        """The model as a classifier of images; None if it is none."""

    @property
    def scores(self) -> ClassScores | None:
        """What becomes of the default signature's rows where they are scores of classes; None elsewhere."""

    @property
    def form(self) -> str:
        """What became of a SavedModel's variables, in a few words; empty for a frozen graph."""

    @property
    def concurrent_runs(self) -> int:
        """The best number of runs at a time while there is enough to do."""

    @property
    def batch_sizes(self) -> Sequence[int]:
        """The numbers of callers that may run together, ascending."""

    @property
    def checks(self) -> Sequence[BatchCheck]:
        """What the warm-up found out of the signatures; nothing of those that only take images."""

    def warm_up(self, sizes: Sequence[int]) -> float:
        """Run the model, in batches of these sizes where that is right, and return the seconds it took.

        Raises `ModelError`.
        """

    def close(self) -> None:
        """Close the session. No run may be in progress. A second call has no effect."""
