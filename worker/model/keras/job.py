"""What the process that converts a model is told, and what it answers: JSON, one object a line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

MARK: Final = "tfleet-convert: "
"""Begins the lines of an answer: libraries write to the same pipe."""


@dataclass(frozen=True, slots=True)
class ConvertJob:
    """Convert the file `source` in the folder `work`. The suffix tells the file's form.

    `inputs` and `outputs` are the names to give, in Keras' order. If `rewritten`, `config` has the model's
    configuration. `old_hard_sigmoid` restores what Keras 2 computed. `classes` are modules and classes to
    import; if it is not None, the file is trusted, and Lambdas run.
    """

    source: str
    work: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    rewritten: bool = False
    old_hard_sigmoid: bool = False
    classes: tuple[tuple[str, str], ...] | None = None
    memory_bytes: int = 8 << 30

    @property
    def target(self) -> Path:
        """The folder of the SavedModel, which the conversion makes."""
        return Path(self.work, "saved_model")

    @property
    def config(self) -> Path:
        """The file of a rewritten configuration."""
        return Path(self.work, "config.json")

    @property
    def scratch(self) -> Path:
        """A folder for what else is written."""
        return Path(self.work, "scratch")

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ConvertJob:
        values: dict[str, Any] = json.loads(text)
        for name in ("inputs", "outputs"):
            values[name] = tuple(values[name])
        if values["classes"] is not None:
            values["classes"] = tuple((module, name) for module, name in values["classes"])
        return cls(**values)
