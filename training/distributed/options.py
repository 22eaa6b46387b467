"""The options of `tfleet train`, by what they are for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tfleet.discovery.options import OPTIONS, RegistryOptions

DEFAULT_PORT: Final = 12485
"""Where the first process of the first of `--hosts` listens."""


@dataclass(frozen=True, slots=True)
class MachineOptions:
    """Which machines take part: this one, `hosts`, or `machines` that meet by a registry."""

    hosts: tuple[str, ...]
    rank: int | None
    port: int
    machines: int | None
    run: str | None
    address: str | None
    join_timeout_s: float


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What becomes of the trained model."""

    name: str | None
    models: Path
    export: bool


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """All options."""

    processes: int
    seed: int
    machines: MachineOptions = field(metadata={OPTIONS: MachineOptions})
    model: ExportOptions = field(metadata={OPTIONS: ExportOptions})
    registry: RegistryOptions = field(metadata={OPTIONS: RegistryOptions})
