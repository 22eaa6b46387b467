"""The description of a model, from its folder or the command line. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from pathlib import Path

    from tfleet.worker.image.geometry import Resample

Channels = Literal["rgb", "bgr"]
CHANNEL_ORDERS: tuple[Channels, ...] = get_args(Channels)


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The graph's input. A value of None is taken from the graph, see `endpoints.py`.

    `tensor` names a tensor (`image:0` or `image`), or an input of a SavedModel's signature. `size` is
    (height, width) in pixels. `crop`, `resample` and `antialias` are those of `Geometry`, `mean` and `std`
    those of `Scaling`, in the order of `channels`. A graph that decodes images itself needs only `tensor`.
    """

    tensor: str | None = None
    size: tuple[int, int] | None = None
    crop: float | None = None
    resample: Resample = "bilinear"
    antialias: bool = True
    channels: Channels = "rgb"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """The graph's output: `tensor` has a row of class probabilities for each image, or of logits."""

    tensor: str | None = None
    logits: bool = False


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model to serve: `path` is a frozen graph's file or a SavedModel's folder.

    `labels` are in the order of the classes. `described_by` is its model.toml; None if command-line options
    describe the model.
    """

    name: str
    version: str
    path: Path
    labels: tuple[str, ...] = field(repr=False)
    input: InputSpec
    output: OutputSpec
    described_by: Path | None = None

    @property
    def label(self) -> str:
        """`name/version`, the value of the header X-Model."""
        return f"{self.name}/{self.version}"

    def setting(self, key: str, option: str) -> str:
        """Where the operator sets this: `input.size in .../model.toml`, or the command-line option."""
        return option if self.described_by is None else f"{key} in {self.described_by}"
