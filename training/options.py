"""The values of `tfleet retrain`'s options."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tfleet.client.routes.named_model import NamedModel
from tfleet.discovery.options import OPTIONS
from tfleet.training.errors import CannotRetrainError
from tfleet.training.model_versions import UNFINISHED, unwritable
from tfleet.training.splits import Shares

_PERCENT: Final = 100
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class ModelFolderOptions:
    """The folder of all models, and the name of the one to make a version of."""

    models: Path
    name: str

    def check(self, photos: Path) -> None:
        """Raise CannotRetrainError for a name or a place that can't be."""
        if not _NAME.fullmatch(self.name) or self.name.endswith(UNFINISHED):
            raise CannotRetrainError(
                f"--name {self.name!r}: use letters, digits, '.', '_' and '-', with a letter or digit first, "
                "100 at most"
            )
        if self.models.resolve().is_relative_to(photos.resolve()):
            raise CannotRetrainError(
                f"--models {self.models}: lies in the folder of the photographs, where it would be a class: "
                "choose another folder"
            )
        if there := unwritable(self.model):
            raise CannotRetrainError(f"{there}: is no folder that can be written to: choose another --models")

    @property
    def model(self) -> Path:
        """The folder of the model's versions."""
        return self.models / self.name


@dataclass(frozen=True, slots=True)
class BackboneOptions:
    """The model that makes vectors, what it runs on, the images it takes, and where vectors are kept."""

    backbone: Path | None
    cpus: int | None
    max_pixels: int
    cache: Path


@dataclass(frozen=True, slots=True)
class EmbeddingFleetOptions:
    """The fleet whose workers make the vectors instead, if there is one."""

    fleet: tuple[str, ...]
    fleet_model: str | None

    def check(self) -> None:
        """Raise CannotRetrainError for a model without a fleet, and for a name that can't be."""
        if self.fleet_model and not self.fleet:
            raise CannotRetrainError("--fleet-model goes with --fleet, and there is none")
        self.named()

    def named(self) -> NamedModel:
        """The model that is asked. Raises CannotRetrainError for a name that can't be."""
        name, _, version = (self.fleet_model or "").partition("/")
        try:
            return NamedModel(name or None, version or None)
        except ValueError as error:
            raise CannotRetrainError(f"--fleet-model: {error}") from error


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """Which photographs validate and test; shares are in percent."""

    validation: float
    test: float
    group_by: str | None

    def shares(self) -> Shares:
        """The shares from 0 to 1. Raises CannotRetrainError where nothing is left to train with."""
        if not self.validation + self.test < _PERCENT:  # not a number is none of it, too
            raise CannotRetrainError("--validation and --test: together they have to be less than 100")
        return Shares(self.validation / _PERCENT, self.test / _PERCENT)

    def pattern(self) -> re.Pattern[str] | None:
        """What names have in common that belong together. Raises CannotRetrainError."""
        try:
            return None if self.group_by is None else re.compile(self.group_by)
        except re.error as error:
            raise CannotRetrainError(
                f"--group-by {self.group_by}: is no regular expression: {error}"
            ) from error


@dataclass(frozen=True, slots=True)
class FineTuneOptions:
    """Whether the network is trained further, in how many epochs if not by default, and whether with
    mirrored photographs.
    """

    fine_tune: bool
    epochs: int | None
    mirror: bool

    def check(self) -> None:
        """Raise CannotRetrainError for details of what is not done."""
        given = {"--epochs": self.epochs is not None, "--no-mirror": not self.mirror}
        for option in [name for name, is_given in given.items() if is_given and not self.fine_tune]:
            raise CannotRetrainError(f"{option} goes with --fine-tune, which is not given")


@dataclass(frozen=True, slots=True)
class RetrainOptions:
    """The command line, without the folder of the photographs."""

    min_confidence: float | None
    serve: bool
    as_json: bool
    target: ModelFolderOptions = field(metadata={OPTIONS: ModelFolderOptions})
    vectors: BackboneOptions = field(metadata={OPTIONS: BackboneOptions})
    fleet: EmbeddingFleetOptions = field(metadata={OPTIONS: EmbeddingFleetOptions})
    split: SplitOptions = field(metadata={OPTIONS: SplitOptions})
    tuning: FineTuneOptions = field(metadata={OPTIONS: FineTuneOptions})

    def check(self, photos: Path) -> None:
        """Raise CannotRetrainError for what can't be."""
        if self.min_confidence is not None and math.isnan(self.min_confidence):
            raise CannotRetrainError("--min-confidence nan: give a number between 0 and 1")
        self.target.check(photos)
        if self.vectors.cache.resolve().is_relative_to(photos.resolve()):
            raise CannotRetrainError(
                f"--cache {self.vectors.cache}: lies in the folder of the photographs: choose another folder"
            )
        self.fleet.check()
        self.tuning.check()
        if self.tuning.fine_tune and self.fleet.fleet:
            raise CannotRetrainError("--fine-tune runs on this machine, and needs no --fleet: leave out one")
