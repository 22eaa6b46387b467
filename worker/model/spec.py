"""The description of a model, from its folder or the command line. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tfleet.worker.image.geometry import Resample
    from tfleet.worker.model.kind import ModelKind

Channels = Literal["rgb", "bgr"]
CHANNEL_ORDERS: tuple[Channels, ...] = get_args(Channels)
Activation = Literal["softmax", "sigmoid", "none"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)


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

    @property
    def stated(self) -> bool:
        """Whether anything is said of the input."""
        return self != InputSpec()


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """The graph's output: `tensor` has a row of numbers for each image.

    `activation` is what the worker applies to make them probabilities; None is found out from the graph.
    Answers leave out labels with a probability below `threshold`. `function`, such as `answer.py:make`, makes
    an answer of the outputs. `embedding` names a tensor of the graph that has a vector for each image.
    """

    tensor: str | None = None
    activation: Activation | None = None
    threshold: float | None = None
    function: str | None = None
    # Not in the text that the digest of a bulk run is made of: it changes no prediction.
    embedding: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SignatureSpec:
    """A signature of a frozen graph, which has none itself: inputs and outputs, each a name and a tensor."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RunSpec:
    """How requests may run. A value of None is found out from the model.

    `stateful`: an answer depends on earlier requests. With `batch` = False rows of several callers never run
    together.
    """

    stateful: bool | None = None
    batch: bool | None = None


@dataclass(frozen=True, slots=True)
class ServingSpec:
    """What is served of the model, as which kind. A value of None is found out from the model.

    `signature` is the one for requests that name none. `tags` choose one of a SavedModel's graphs. `columns`
    name the numbers of a table model's vector, in their order. `signatures` are those of a frozen graph. With
    `trust` Python code in the model's file runs. `converted_from` is the file of a model that was converted.
    """

    kind: ModelKind | None = None
    signature: str | None = None
    runs: RunSpec = field(default_factory=RunSpec)
    tags: tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()
    signatures: Mapping[str, SignatureSpec] = field(default_factory=dict)
    trust: bool = False
    converted_from: Path | None = None


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model to serve: `path` is a frozen graph's file or a SavedModel's folder.

    `labels` are in the order of the classes; there may be none. `described_by` is its model.toml; None if
    command-line options describe the model, or nothing does.
    """

    name: str
    version: str
    path: Path
    labels: tuple[str, ...] = field(repr=False)
    input: InputSpec
    output: OutputSpec
    described_by: Path | None = None
    serving: ServingSpec = field(default_factory=ServingSpec)

    @property
    def label(self) -> str:
        """`name/version`, the value of the header X-Model."""
        return f"{self.name}/{self.version}"

    @property
    def origin(self) -> Path:
        """What the operator knows the model by: the file that it was converted from, or else its path."""
        return self.serving.converted_from or self.path

    @property
    def folder(self) -> Path:
        """Where the files beside the model are, such as examples."""
        if self.described_by is not None:
            return self.described_by.parent
        return self.origin if self.origin.is_dir() else self.origin.parent

    def setting(self, key: str, option: str) -> str:
        """Where the operator sets this: `input.size in .../model.toml`, or the command-line option."""
        return option if self.described_by is None else f"{key} in {self.described_by}"
