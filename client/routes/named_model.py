"""The model that a client's calls are for, and the paths that name it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tfleet.client.errors import UnexpectedAnswerError
from tfleet.contract.identifiers import is_label
from tfleet.contract.names import MODELS_PATH, PREDICT_PATH

if TYPE_CHECKING:
    from tfleet.client.routes.lookup import FoundWorker


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model of the fleet, and one of its versions, named by itself or by a label of the model's plan.

    Without a `model` calls are for the fleet's default model. Without `version` and `label` the fleet chooses
    the version. Raises ValueError for a version or label without a model, and for both together.
    """

    model: str | None = None
    version: str | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        for what in ("model", "version", "label"):
            text = getattr(self, what)
            if text is not None and (not text or not is_label(text)):
                raise ValueError(f"{what} is {text!r}, and must be printable ASCII")
        if self.model is None and (self.version, self.label) != (None, None):
            raise ValueError("a version or a label needs a model: of which model is it?")
        if self.version is not None and self.label is not None:
            raise ValueError("name a version or a label, not both")

    def path(self, end: str = PREDICT_PATH) -> str:
        """The path at a proxy of what `end` asks for."""
        kind = "labels" if self.label is not None else "versions"
        return self._path(kind, self.label or self.version, end)

    def path_at(self, worker: FoundWorker, end: str = PREDICT_PATH) -> str:
        """The same at a worker, which knows its version and no labels."""
        exact = self.version is not None or self.label is not None
        return self._path("versions", worker.version if exact else None, end)

    @property
    def query(self) -> list[tuple[str, str]]:
        """What a lookup has to say to get workers of this model."""
        asked = (("model", self.model), ("version", self.version), ("label", self.label))
        return [(name, text) for name, text in asked if text is not None]

    def check(self, worker: FoundWorker) -> None:
        """Raise UnexpectedAnswerError for a worker of another model or version."""
        if self.model is None:
            return
        if worker.model == self.model and self.version in {None, worker.version}:
            return
        wanted = self.model if self.version is None else f"{self.model}, version {self.version}"
        raise UnexpectedAnswerError(
            f"the proxy named a worker of {worker.model or 'no model'}, version {worker.version or 'none'}, "
            f"for {wanted}: a proxy with a fixed list of workers (static:) knows no models"
        )

    def _path(self, kind: str, text: str | None, end: str) -> str:
        if self.model is None:
            return end
        exact = "" if text is None else f"/{kind}/{quote(text, safe='')}"
        return f"{MODELS_PATH}/{quote(self.model, safe='')}{exact}{end}"


DEFAULT_MODEL: Final = NamedModel()
