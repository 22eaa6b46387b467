"""What can be said of a model without loading it: `tfleet model show`. No TensorFlow, no Keras."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.example import curl_line
from tfleet.worker.model.facts import (
    Fact,
    ModelFacts,
    Source,
    check_functions,
    columns_of,
    default_signature,
    find_facts,
    model_facts,
)
from tfleet.worker.model.formats import ModelFormat, file_format
from tfleet.worker.model.frozen_signature import frozen_signature, named_tensor
from tfleet.worker.model.keras.cache import cached
from tfleet.worker.model.keras.facts import keras_facts
from tfleet.worker.model.keras.file import KerasFile, check_code, read_keras_file
from tfleet.worker.model.kind import ModelKind
from tfleet.worker.model.missing_ops import missing_ops
from tfleet.worker.model.parsed_examples import with_examples
from tfleet.worker.model.pixel_layout import pixel_layout
from tfleet.worker.model.saved_model_proto import operations, read_graph, read_saved_model
from tfleet.worker.model.signature import DEFAULT_SIGNATURE, Signature
from tfleet.worker.model.state import assignment
from tfleet.worker.model.tags import choose_tags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tfleet.worker.model.signature import TensorInfo
    from tfleet.worker.model.spec import InputSpec, ModelSpec


@dataclass(frozen=True, slots=True)
class FileContents:
    """What a model's files say.

    `tags` are those of the graph that is served, `all_tags` those of each graph. `writer` wrote the model.
    `code` says what of the model is Python code.
    """

    signatures: Mapping[str, Signature] = field(default_factory=dict)
    missing_ops: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    all_tags: tuple[tuple[str, ...], ...] = ()
    writer: str = ""
    code: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelReport:
    """A model that was looked at and not loaded.

    `default` is the signature for requests that name none. `facts` are None for a Keras file of which not
    even the kind can be told before it is converted; `untold` names those that can't, though the kind can.
    `refusal` says why a worker would not serve the model as it is described, or is empty.
    """

    spec: ModelSpec
    format: ModelFormat
    size_bytes: int
    contents: FileContents
    default: str | None
    facts: ModelFacts | None
    refusal: str = ""
    untold: frozenset[str] = frozenset()

    @property
    def kind(self) -> ModelKind | None:
        """What the model takes, where that is known."""
        return None if self.facts is None else self.facts.kind.value

    @property
    def signature(self) -> Signature | None:
        """The default signature, or else any."""
        name = self.default or next(iter(self.contents.signatures), None)
        return None if name is None else self.contents.signatures[name]

    @property
    def example(self) -> str | None:
        """A line for a shell that calls the model; None if it has no signature.

        None as well while it is open whether the model takes images or arrays, which are sent differently.
        """
        if self.signature is None or (self.facts is None and _may_take_images(self.signature)):
            return None
        return curl_line(
            self.signature,
            image=self.kind is ModelKind.IMAGE,
            columns=self.spec.serving.columns,
            default=self.signature.name == self.default,
        )


def look_at(spec: ModelSpec) -> ModelReport:
    """Read the model's files. Raises `ModelError`."""
    found = ModelFormat.SAVED_MODEL if spec.path.is_dir() else file_format(spec.path)
    size = _size(spec.path)
    file = read_keras_file(spec.path) if found in {ModelFormat.KERAS, ModelFormat.HDF5} else None
    converted = None if file is None else cached(spec.path)
    if file is not None and converted is None:
        return _unconverted(spec, found, size, file)
    if converted is not None:
        # The SavedModel knows the outputs' shapes, and what the graph does.
        contents, graph = _saved_model(replace(spec, path=converted))
    else:
        contents, graph = _frozen_graph(spec) if found is ModelFormat.FROZEN_GRAPH else _saved_model(spec)
    facts, refusal = _facts(spec, lambda known: model_facts(known, contents.signatures, graph))
    if file is not None:
        contents = _keras_contents(file, contents.signatures)
        refusal = _refused_code(spec, file) or refusal
    return ModelReport(
        spec, found, size, contents, default_signature(spec, contents.signatures), facts, refusal
    )


def _unconverted(spec: ModelSpec, found: ModelFormat, size: int, file: KerasFile) -> ModelReport:
    """The report of a Keras file by its configuration."""
    refusal, facts, untold = _refused_code(spec, file), None, frozenset[str]()
    if not file.inputs:  # a class that only its own code knows
        return ModelReport(spec, found, size, _keras_contents(file, {}), None, None, refusal)
    signature = Signature(DEFAULT_SIGNATURE, _sorted(file.inputs), _sorted(file.outputs))
    contents = _keras_contents(file, {DEFAULT_SIGNATURE: signature})
    default = default_signature(spec, contents.signatures)
    told = keras_facts(file)
    if told is None or ("kind" in told.untold and spec.serving.kind is None):
        refusal = refusal or _check_columns(spec, signature)
    else:
        try:
            facts, unclear = _facts(
                spec, lambda known: find_facts(known, told.signature(signature), told.graph)
            )
        except ModelError as error:  # what is stated does not fit
            unclear = str(error)
        untold = _open(spec, facts, told.untold)
        if facts is not None and "pixels" in untold:  # nothing else was unclear
            facts, unclear = replace(facts, scaling=Fact(None, Source.DEFAULT)), ""
        refusal = refusal or unclear
    return ModelReport(spec, found, size, contents, default, facts, refusal, untold)


def _may_take_images(signature: Signature) -> bool:
    return len(signature.inputs) == 1 and pixel_layout(signature.inputs[0].shape) is not None


def _check_columns(spec: ModelSpec, signature: Signature | None) -> str:
    """Why a worker would refuse the stated columns, or "". A converted model's facts say the same."""
    try:
        columns_of(spec, ModelKind.TABLE, signature)
    except ModelError as error:
        return str(error)
    return ""


def _facts(spec: ModelSpec, find: Callable[[ModelSpec], ModelFacts]) -> tuple[ModelFacts | None, str]:
    """The facts, and why a worker would refuse the model, or ""."""
    try:
        return find(spec), ""
    except ModelError as error:
        # If only the scaling of pixels is missing, all else follows with any scaling.
        try:
            facts = find(replace(spec, input=_any_scaling(spec.input)))
        except ModelError:
            raise error from None
        source = facts.kind.source if spec.input.stated or spec.serving.kind else Source.MODEL
        return replace(facts, scaling=None, kind=Fact(facts.kind.value, source)), str(error)


def _open(spec: ModelSpec, facts: ModelFacts | None, untold: frozenset[str]) -> frozenset[str]:
    """Those of the untold facts that are neither stated nor beside the point."""
    stated = set()
    if spec.input.mean is not None or spec.input.std is not None:
        stated.add("pixels")
    if spec.output.activation is not None:
        stated.add("activation")
    if spec.serving.runs.stateful is not None:
        stated.add("stateful")
    if facts is None or facts.kind.value is not ModelKind.IMAGE:
        stated |= {"pixels", "activation"}
    return untold - stated - {"kind"}


def _any_scaling(given: InputSpec) -> InputSpec:
    return replace(given, mean=(0.0,), std=(1.0,))


def _keras_contents(file: KerasFile, signatures: Mapping[str, Signature]) -> FileContents:
    writer = f"Keras {file.version}" if file.version else ""
    return FileContents(signatures, writer=writer, code=tuple(map(str, file.code)))


def _refused_code(spec: ModelSpec, file: KerasFile) -> str:
    """Why a worker would not load the file, or ""."""
    try:
        check_code(file, trust=spec.serving.trust)
    except ModelError as error:
        return str(error)
    return ""


def _sorted(infos: Iterable[TensorInfo]) -> tuple[TensorInfo, ...]:
    return tuple(sorted(infos, key=lambda info: info.name))


def _saved_model(spec: ModelSpec) -> tuple[FileContents, Any]:
    graphs = read_saved_model(spec.path)
    tags = choose_tags(spec.path, spec.serving.tags, [graph.tags for graph in graphs])
    served = next(graph for graph in graphs if graph.tags == tags)
    graph, version = served.definition.graph_def, served.tensorflow_version
    check_functions(spec, graph)
    contents = FileContents(
        {name: _completed(spec, signature, graph) for name, signature in served.signatures.items()},
        missing_ops(operations(graph)),
        served.tags,
        tuple(each.tags for each in graphs),
        f"TensorFlow {version}" if version else "",
    )
    return contents, graph


def _completed(spec: ModelSpec, signature: Signature, graph: Any) -> Signature:
    """The signature with what its graph says: whether inputs may be left out, and whether it keeps state."""
    inputs = tuple(
        replace(info, optional=(named := named_tensor(graph, info.tensor)) is not None and named.optional)
        for info in signature.inputs
    )
    feeds = [info.tensor for info in inputs if info.tensor]
    fetches = [info.tensor for info in signature.outputs if info.tensor]
    stateful = spec.serving.runs.stateful
    if stateful is None:
        stateful = bool(assignment(graph, feeds, fetches))
    return with_examples(graph, replace(signature, inputs=inputs, stateful=stateful))


def _frozen_graph(spec: ModelSpec) -> tuple[FileContents, Any]:
    graph = read_graph(spec.path)
    check_functions(spec, graph)
    found = _stated(spec, graph) or {DEFAULT_SIGNATURE: frozen_signature(graph)}
    signatures = {name: _completed(spec, signature, graph) for name, signature in found.items()}
    return FileContents(signatures, missing_ops(operations(graph))), graph


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


def _size(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
