"""What can be said of a model without loading it: `tfleet model show`. No TensorFlow, no Keras."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.example import curl_line
from tfleet.worker.model.formats import ModelFormat, file_format
from tfleet.worker.model.frozen_signature import frozen_signature, named_tensor
from tfleet.worker.model.keras.cache import cached
from tfleet.worker.model.keras.file import read_keras_file
from tfleet.worker.model.kind import ModelKind
from tfleet.worker.model.missing_ops import missing_ops
from tfleet.worker.model.saved_model_proto import MetaGraph, operations, read_graph, read_saved_model
from tfleet.worker.model.signature import DEFAULT_SIGNATURE, Signature

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tfleet.worker.model.signature import TensorInfo
    from tfleet.worker.model.spec import ModelSpec

DEFAULT_TAGS: Final = ("serve",)


@dataclass(frozen=True, slots=True)
class ShownFact:
    """Something that is known of a model, and where from: the model, its model.toml, or a default."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class FileContents:
    """What a model's files say. `tags` are those of each graph in it, `writer` is what wrote it, or "".

    `code` says what of the model is Python code.
    """

    signatures: Mapping[str, Signature] = field(default_factory=dict)
    missing_ops: tuple[str, ...] = ()
    tags: tuple[tuple[str, ...], ...] = ()
    writer: str = ""
    code: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelReport:
    """A model that was looked at and not loaded. `default` is the signature for requests that name none."""

    spec: ModelSpec
    format: ModelFormat
    size_bytes: int
    contents: FileContents
    default: str | None
    facts: tuple[ShownFact, ...]

    @property
    def example(self) -> str | None:
        """A line for a shell that calls the model; None if it has no signature."""
        name = self.default or next(iter(self.contents.signatures), None)
        if name is None:
            return None
        return curl_line(
            self.contents.signatures[name],
            image=any(fact.name == "kind" and fact.value == ModelKind.IMAGE for fact in self.facts),
            columns=self.spec.serving.columns,
            default=name == self.default,
        )


def look_at(spec: ModelSpec) -> ModelReport:
    """Read the model's files. Raises `ModelError`."""
    found = ModelFormat.SAVED_MODEL if spec.path.is_dir() else file_format(spec.path)
    if found is ModelFormat.SAVED_MODEL:
        contents = _saved_model(spec)
    elif found is ModelFormat.FROZEN_GRAPH:
        contents = _frozen_graph(spec)
    else:
        contents = _keras_file(spec)
    default = _default(spec, contents.signatures)
    return ModelReport(spec, found, _size(spec.path), contents, default, _facts(spec))


def _saved_model(spec: ModelSpec) -> FileContents:
    graphs = read_saved_model(spec.path)
    served = _served(spec, graphs)
    missing = missing_ops(operations(served.definition.graph_def))
    version = served.tensorflow_version
    return FileContents(
        served.signatures,
        missing,
        tuple(graph.tags for graph in graphs),
        f"TensorFlow {version}" if version else "",
    )


def _served(spec: ModelSpec, graphs: Iterable[MetaGraph]) -> MetaGraph:
    """The graph with the tags that are served. Raises `ModelError`."""
    wanted = set(spec.serving.tags or DEFAULT_TAGS)
    there = list(graphs)
    for graph in there:
        if set(graph.tags) == wanted:
            return graph
    tags = "; ".join(",".join(graph.tags) or "(none)" for graph in there)
    raise ModelError(
        f"{spec.path}: has no graph with the tags {','.join(sorted(wanted))}; it has {tags}: "
        f"set {spec.setting('model.tags', 'model.tags in a model.toml')}"
    )


def _keras_file(spec: ModelSpec) -> FileContents:
    """What the file says of itself. Where it has been converted, the SavedModel knows the outputs' shapes."""
    file = read_keras_file(spec.path)
    saved_model = cached(spec.path)
    if saved_model is not None:
        (graph,) = read_saved_model(saved_model)
        signatures = graph.signatures
    elif file.inputs:
        inputs, outputs = (
            tuple(sorted(infos, key=attrgetter("name"))) for infos in (file.inputs, file.outputs)
        )
        signatures = {DEFAULT_SIGNATURE: Signature(DEFAULT_SIGNATURE, inputs, outputs)}
    else:  # a class that only its own code knows
        signatures = {}
    writer = f"Keras {file.version}" if file.version else ""
    return FileContents(signatures, writer=writer, code=tuple(map(str, file.code)))


def _frozen_graph(spec: ModelSpec) -> FileContents:
    graph = read_graph(spec.path)
    signatures = _stated(spec, graph) or {DEFAULT_SIGNATURE: frozen_signature(graph)}
    return FileContents(signatures, missing_ops(operations(graph)))


def _stated(spec: ModelSpec, graph: Any) -> dict[str, Signature]:
    """The signatures of a frozen graph that model.toml or options state."""
    stated = {name: (each.inputs, each.outputs) for name, each in spec.serving.signatures.items()}
    if not stated and spec.input.tensor and spec.output.tensor:
        stated = {DEFAULT_SIGNATURE: (_tensors(spec.input.tensor), _tensors(spec.output.tensor))}
    return {
        name: Signature(name, _found(graph, inputs), _found(graph, outputs))
        for name, (inputs, outputs) in stated.items()
    }


def _tensors(names: str) -> dict[str, str]:
    """`a:0, b` as names and tensors."""
    return {name.removesuffix(":0"): name for name in map(str.strip, names.split(","))}


def _found(graph: Any, tensors: Mapping[str, str]) -> tuple[TensorInfo, ...]:
    found = ((name, named_tensor(graph, tensor)) for name, tensor in sorted(tensors.items()))
    return tuple(replace(info, name=name) for name, info in found if info is not None)


def _default(spec: ModelSpec, signatures: Mapping[str, Signature]) -> str | None:
    if spec.serving.signature is not None or DEFAULT_SIGNATURE in signatures:
        return spec.serving.signature or DEFAULT_SIGNATURE
    return next(iter(signatures)) if len(signatures) == 1 else None


def _facts(spec: ModelSpec) -> tuple[ShownFact, ...]:
    """What the description says, and the defaults of what it leaves out."""
    return (
        *([ShownFact("kind", spec.serving.kind, "model.toml")] if spec.serving.kind else []),
        *(
            [ShownFact("columns", ", ".join(spec.serving.columns), "model.toml")]
            if spec.serving.columns
            else []
        ),
        ShownFact("labels", str(len(spec.labels)), "labels.txt")
        if spec.labels
        else ShownFact("labels", "none", "default"),
    )


def _size(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
