"""What a model is, and how each fact is known: from the model itself, from what is stated, or by default.

The worker logs these facts at its start, and `tfleet model show` prints them. No TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tfleet.worker.image.geometry import Scaling
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.function_calls import BadGraphError, check_calls
from tfleet.worker.model.graph_facts import GraphFacts, PixelRange, graph_facts
from tfleet.worker.model.kind import ModelKind, kind_of
from tfleet.worker.model.saved_model_proto import read_saved_model
from tfleet.worker.model.signature import DEFAULT_SIGNATURE
from tfleet.worker.model.tags import choose_tags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tfleet.worker.model.signature import Signature, TensorInfo
    from tfleet.worker.model.spec import Activation, ModelSpec

_Value = TypeVar("_Value")


class Source(StrEnum):
    """Where a fact comes from."""

    MODEL = "the model"
    MANIFEST = "model.toml"
    OPTION = "an option"
    LABELS_FILE = "the labels file"
    ASSETS = "the model's assets"
    DEFAULT = "the default"


@dataclass(frozen=True, slots=True)
class Fact(Generic[_Value]):
    """A fact and its source."""

    value: _Value
    source: Source

    def __str__(self) -> str:
        """Such as `table (from the model)`."""
        return f"{self.value} (from {self.source})"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model.

    `signature` is the one for requests that name none. `batch`: rows of several callers may run together,
    where the warm-up finds that they do not change each other's answers. `columns` are the names of a table's
    numbers where the model takes them as one vector. `scaling` and `activation` are those of image models;
    see `scaling_of` and `activation_of`.
    """

    kind: Fact[ModelKind]
    signature: Fact[str | None]
    stateful: Fact[bool]
    batch: Fact[bool]
    columns: Fact[tuple[str, ...]]
    scaling: Fact[Scaling | None] | None = None
    activation: Fact[Activation] | None = None


def model_facts(spec: ModelSpec, signatures: Mapping[str, Signature], definition: Any) -> ModelFacts:
    """The facts of a model with these signatures; `definition` is its GraphDef. Raises `ModelError`."""
    name = default_signature(spec, signatures)
    signature = None if name is None else signatures[name]
    return find_facts(spec, signature, facts_of_graph(spec, signature, definition))


def facts_of_graph(spec: ModelSpec, signature: Signature | None, definition: Any) -> GraphFacts:
    """What the graph does for this signature. Raises `ModelError` for calls that nobody could follow."""
    if signature is None:
        return GraphFacts()
    try:
        return graph_facts(definition, signature)
    except BadGraphError as error:
        raise ModelError(f"{spec.origin}: {error}: export the model again without that") from error


def check_functions(spec: ModelSpec, definition: Any) -> None:
    """Raise `ModelError` for a graph whose functions call themselves, before anything follows them."""
    try:
        check_calls(definition)
    except BadGraphError as error:
        raise ModelError(f"{spec.origin}: {error}: export the model again without that") from error


def saved_model_facts(spec: ModelSpec) -> ModelFacts:
    """The facts of a SavedModel, read from its file. Raises `ModelError`."""
    graphs = read_saved_model(spec.path)
    tags = choose_tags(spec.path, spec.serving.tags, [each.tags for each in graphs])
    graph = next(each for each in graphs if each.tags == tags)
    check_functions(spec, graph.definition.graph_def)
    return model_facts(spec, graph.signatures, graph.definition.graph_def)


def default_signature(spec: ModelSpec, signatures: Mapping[str, Signature]) -> str | None:
    """The signature for requests that name none: the stated one, `serving_default`, or the only one.

    None where there are several and none is meant. Raises `ModelError` if the stated one is missing.
    """
    wanted = spec.serving.signature
    if wanted is not None:
        if wanted not in signatures:
            setting = spec.setting("model.signature", "--signature")
            there = ", ".join(signatures) or "none"
            raise ModelError(f"{spec.origin}: has no signature {wanted!r} ({setting}); it has {there}")
        return wanted
    if DEFAULT_SIGNATURE in signatures:
        return DEFAULT_SIGNATURE
    return next(iter(signatures)) if len(signatures) == 1 else None


def find_facts(spec: ModelSpec, signature: Signature | None, graph: GraphFacts) -> ModelFacts:
    """The facts of a model with this default signature, whose graph has these facts. Raises `ModelError`."""
    kind = _kind(spec, signature, graph)
    stated = spec.serving
    scaling = activation = None
    if kind.value is ModelKind.IMAGE and signature is not None:
        activation = activation_of(spec, graph)
        if len(signature.inputs) == 1 and signature.inputs[0].dtype != "string":
            scaling = scaling_of(spec, signature.inputs[0], graph.pixels)
    return ModelFacts(
        kind,
        Fact(
            None if signature is None else signature.name,
            stated_source(spec) if stated.signature is not None else Source.MODEL,
        ),
        Fact(
            signature is not None and signature.stateful,
            stated_source(spec) if stated.runs.stateful is not None else Source.MODEL,
        ),
        _batch(spec),
        columns_of(spec, kind.value, signature),
        scaling,
        activation,
    )


def stated_source(spec: ModelSpec) -> Source:
    """Where the model is described: its model.toml, or options."""
    return Source.OPTION if spec.described_by is None else Source.MANIFEST


def _batch(spec: ModelSpec) -> Fact[bool]:
    stated = spec.serving.runs.batch
    return Fact(True, Source.DEFAULT) if stated is None else Fact(stated, stated_source(spec))


def _kind(spec: ModelSpec, signature: Signature | None, graph: GraphFacts) -> Fact[ModelKind]:
    if spec.serving.kind is not None:
        return Fact(spec.serving.kind, stated_source(spec))
    found = ModelKind.TENSORS if signature is None else kind_of(signature, graph)
    described = spec.input
    of_images = (described.size, described.crop, described.mean, described.std)
    if found is not ModelKind.IMAGE and any(each is not None for each in of_images):
        return Fact(ModelKind.IMAGE, stated_source(spec))
    return Fact(found, Source.MODEL)


def columns_of(spec: ModelSpec, kind: ModelKind, signature: Signature | None) -> Fact[tuple[str, ...]]:
    """The names of a table's numbers. Raises `ModelError` where they do not fit the model."""
    columns = spec.serving.columns
    if not columns:
        return Fact((), Source.DEFAULT)
    only = signature.inputs[0] if signature is not None and len(signature.inputs) == 1 else None
    where = spec.setting("model.columns", "--columns")
    if kind is not ModelKind.TABLE or only is None or not only.shape:
        raise ModelError(
            f"{spec.origin}: {where} is for a table model that takes its numbers as one vector: remove it"
        )
    size = only.shape[-1] if len(only.shape) > 1 else 1
    if size != len(columns):
        raise ModelError(
            f"{spec.origin}: {where} has {len(columns)} names, but the input {only} takes {size}"
        )
    return Fact(columns, stated_source(spec))


def activation_of(spec: ModelSpec, graph: GraphFacts) -> Fact[Activation]:
    """The activation of an image model's output: the graph's own, or the one that the worker applies.

    "none" by default: the numbers may be anything, and nobody calls them probabilities. Raises `ModelError`
    where the stated activation would be the second one.
    """
    stated = spec.output.activation
    own: Activation | None = None
    if graph.activation == "softmax":
        own = "softmax"
    elif graph.activation == "sigmoid":
        own = "sigmoid"
    if stated is None:
        return Fact("none", Source.DEFAULT) if own is None else Fact(own, Source.MODEL)
    if own is not None and stated != "none":
        where = spec.setting("output.activation", "--activation")
        raise ModelError(
            f"{spec.origin}: the graph's last operation is a {own} already, and {where} would apply a "
            f"{stated} to its result: remove it"
        )
    return Fact(own, Source.MODEL) if own is not None else Fact(stated, stated_source(spec))


def scaling_of(spec: ModelSpec, info: TensorInfo, pixels: PixelRange | None) -> Fact[Scaling | None]:
    """How an image model's pixels are scaled; None is not at all, 0 to 255.

    `pixels` is the range that the graph's own first operations expect. Raises `ModelError` where nothing says
    how, and where an input of whole numbers is to be scaled.
    """
    mean, std = spec.input.mean, spec.input.std
    stated = mean is not None or std is not None
    if not info.dtype.startswith(("float", "bfloat")):
        if not stated:
            return Fact(None, Source.MODEL)
        settings = spec.setting("input.mean and input.std", "--input-mean and --input-std")
        raise ModelError(f"{spec.origin}: the input {info} takes unscaled pixels: remove {settings}")
    default = Scaling()
    if stated:
        chosen = Scaling(default.mean if mean is None else mean, default.std if std is None else std)
        return Fact(chosen, stated_source(spec))
    if pixels is PixelRange.BYTES:
        return Fact(None, Source.MODEL)
    if pixels is PixelRange.UNIT:
        return Fact(default, Source.MODEL)
    if spec.input.stated:
        return Fact(default, Source.DEFAULT)
    if spec.described_by is None:
        zero_to_one, centred, raw = ("--input-mean 0 --input-std 255", "127.5 and 127.5", "0 and 1")
    else:
        zero_to_one, centred, raw = ("mean = 0 and std = 255", "127.5 and 127.5", "0 and 1")
        zero_to_one = f"{zero_to_one} in [input] of {spec.described_by}"
    raise ModelError(
        f"{spec.origin}: nothing says how the input {info} is scaled: set {zero_to_one} for pixels from 0 "
        f"to 1, {centred} for -1 to 1, {raw} for 0 to 255"
    )
