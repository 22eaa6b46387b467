"""The facts of a model as lines for people: what was found out, and where each fact comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tfleet.worker.model.facts import ModelFacts, Source, stated_source
from tfleet.worker.model.kind import ModelKind
from tfleet.worker.model.pixel_layout import PixelLayout, pixel_layout
from tfleet.worker.model.spec import InputSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tfleet.worker.image.geometry import Scaling
    from tfleet.worker.model.signature import Signature
    from tfleet.worker.model.spec import ModelSpec

_MAX_LABELS: Final = 5


@dataclass(frozen=True, slots=True)
class ShownFact:
    """Something that is known of a model, and where from, in words; "" of what is not known yet."""

    name: str
    value: str
    source: str


def shown_facts(spec: ModelSpec, facts: ModelFacts, signature: Signature | None) -> tuple[ShownFact, ...]:
    """Kind, state, columns, labels, embedding and, of images, the preprocessing for the default signature."""
    return (
        ShownFact("kind", facts.kind.value, facts.kind.source),
        ShownFact("stateful", "yes" if facts.stateful.value else "no", facts.stateful.source),
        ShownFact("batch", _batch_text(facts.batch.value), facts.batch.source),
        *_columns(facts),
        _labels(spec),
        *_embedding(spec),
        *(_preprocessing(spec, facts, signature) if facts.kind.value is ModelKind.IMAGE else ()),
    )


def stated_facts(spec: ModelSpec) -> tuple[ShownFact, ...]:
    """What is known of a Keras file before it is converted: what is stated, and the labels."""
    kind, columns, source = spec.serving.kind, spec.serving.columns, stated_source(spec)
    batch = spec.serving.runs.batch
    return (
        *(() if kind is None else (ShownFact("kind", kind.value, source),)),
        *(() if batch is None else (ShownFact("batch", _batch_text(batch), source),)),
        *((ShownFact("columns", ", ".join(columns), source),) if columns else ()),
        _labels(spec),
    )


def _batch_text(batch: bool) -> str:
    """Whether rows of several callers run together."""
    return "where the check allows it" if batch else "no"


def _columns(facts: ModelFacts) -> Iterator[ShownFact]:
    if facts.columns.value:
        yield ShownFact("columns", ", ".join(facts.columns.value), facts.columns.source)


def _labels(spec: ModelSpec) -> ShownFact:
    if not spec.labels:
        return ShownFact("labels", "none", Source.DEFAULT)
    more = ", ..." if len(spec.labels) > _MAX_LABELS else ""
    return ShownFact(
        "labels", f"{len(spec.labels)}: {', '.join(spec.labels[:_MAX_LABELS])}{more}", Source.LABELS_FILE
    )


def _embedding(spec: ModelSpec) -> Iterator[ShownFact]:
    if spec.output.embedding is not None:
        yield ShownFact("embedding", spec.output.embedding, stated_source(spec))


def input_size(signature: Signature | None) -> tuple[int, int] | None:
    """Height and width of the images that the signature's only input takes, where its shape says them."""
    layout = _layout(signature)
    if layout is None or layout.height is None or layout.width is None:
        return None
    return layout.height, layout.width


def takes_grey(signature: Signature | None) -> bool:
    """Whether the signature's only input is images of one channel."""
    layout = _layout(signature)
    return layout is not None and layout.depth == 1


def _layout(signature: Signature | None) -> PixelLayout | None:
    if signature is None or len(signature.inputs) != 1 or signature.inputs[0].dtype == "string":
        return None
    return pixel_layout(signature.inputs[0].shape)


def _preprocessing(spec: ModelSpec, facts: ModelFacts, signature: Signature | None) -> Iterator[ShownFact]:
    given, default, stated = spec.input, InputSpec(), stated_source(spec)
    size = given.size or input_size(signature)
    if size is not None:
        yield ShownFact("size", f"{size[0]} x {size[1]}", stated if given.size else Source.MODEL)
    layout = _layout(signature)
    if layout is None:
        return  # the graph decodes and resizes images itself
    for name, value, usual in (
        ("crop", given.crop, default.crop),
        ("resample", given.resample, default.resample),
        ("antialias", given.antialias, default.antialias),
        ("channels", "grey" if takes_grey(signature) else given.channels, default.channels),
    ):
        shown = {None: "none", True: "yes", False: "no"}.get(value, str(value))  # type: ignore[arg-type] # one of them
        found = Source.MODEL if value == "grey" else stated
        yield ShownFact(name, shown, Source.DEFAULT if value == usual else found)
    if facts.scaling is not None:
        yield ShownFact("pixels", scaling_text(facts.scaling.value), facts.scaling.source)
    if facts.activation is not None:
        yield ShownFact("activation", facts.activation.value, facts.activation.source)


def scaling_text(scaling: Scaling | None) -> str:
    """How pixels are scaled, in a few words."""
    if scaling is None:
        return "as they are, 0 to 255"
    mean, std = (", ".join(f"{each:g}" for each in values) for values in (scaling.mean, scaling.std))
    return f"(pixel - {_bracketed(mean)}) / {_bracketed(std)}"


def _bracketed(numbers: str) -> str:
    return f"[{numbers}]" if "," in numbers else numbers
