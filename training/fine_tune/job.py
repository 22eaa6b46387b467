"""What the process that trains the network is told, and what it answers: JSON, one object a line.

Arrays lie in the folder that both share:

backbone.pb    the graph from its images to its vectors
pixels.raw     uint8[photos, height, width, 3], cut and resized as for a request
photos.npz     classes, train, validation, test; weights and intercepts of the head; expected vectors
result.npz     the answer: probabilities of the test, weights and intercepts, and kernels and biases by the
               names of their constants, after `constant:`
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tfleet.worker.image.geometry import Scaling

MARK: Final = "tfleet-fine-tune: "
"""Begins the lines of an answer: libraries write to the same pipe."""
CONSTANT: Final = "constant:"
EPOCHS: Final = 8
"""Passes over the photographs, by default."""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """`epochs` passes. See `augmented` for `mirror`, `rates` for `learning_rate`, and `StartHead` for
    `penalty`.
    """

    epochs: int
    mirror: bool
    learning_rate: float
    penalty: float
    seed: int = 0


@dataclass(frozen=True, slots=True)
class FineTuneJob:
    """Train the network between the tensors `image` and `embedding`, in the folder `work`.

    Pixels are scaled by `scaling`, or not at all.
    """

    work: str
    image: str
    embedding: str
    scaling: Scaling | None
    plan: TrainingPlan
    cpus: int
    memory_bytes: int = 8 << 30

    @property
    def backbone(self) -> Path:
        """The file of the graph."""
        return Path(self.work, "backbone.pb")

    @property
    def pixels(self) -> Path:
        """The file of all photographs."""
        return Path(self.work, "pixels.raw")

    @property
    def photos(self) -> Path:
        """The file that says what the photographs are."""
        return Path(self.work, "photos.npz")

    @property
    def result(self) -> Path:
        """The file that the child writes."""
        return Path(self.work, "result.npz")

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> FineTuneJob:
        values: dict[str, Any] = json.loads(text)
        if (scaling := values["scaling"]) is not None:
            values["scaling"] = Scaling(tuple(scaling["mean"]), tuple(scaling["std"]))
        values["plan"] = TrainingPlan(**values["plan"])
        return cls(**values)
