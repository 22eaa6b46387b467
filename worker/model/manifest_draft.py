"""A model.toml with everything that was found out about a model, as comments: `tfleet model init`.

Each setting that was found out is behind a `#`. A value that is stated means more than the same value that
was found out: then it is the operator who says so. So nothing changes until somebody removes a `#`. What
options state is written without one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tfleet.runtime.printable import printable
from tfleet.worker.model.formats import ModelFormat
from tfleet.worker.model.keras.facts import UNTOLD
from tfleet.worker.model.kind import ModelKind
from tfleet.worker.model.shown_facts import input_size, takes_grey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tfleet.worker.model.report import ModelReport
    from tfleet.worker.model.signature import Signature

_COLUMN: Final = 34
_MAX_COLUMNS: Final = 200


def draft(report: ModelReport) -> str:
    """The text of a model.toml for the model, which options describe, if anything does."""
    lines = [
        printable(f"# {report.spec.label}, as tfleet model init found it. Remove a # to state a value."),
        "",
        *_section("model", _model(report), {"signature": report.spec.serving.signature}),
        *_signatures(report),
    ]
    given, output = report.spec.input, report.spec.output
    of_input = {"tensor": given.tensor, "size": given.size, "mean": given.mean, "std": given.std}
    of_output = {"tensor": output.tensor, "activation": output.activation}
    image = report.kind is ModelKind.IMAGE
    for name, settings, stated in (
        ("input", _input(report), of_input),
        ("output", _output(report), of_output),
    ):
        if image or any(value is not None for value in stated.values()):
            lines += _section(name, settings if image else iter(()), stated)
    return "\n".join(lines).rstrip() + "\n"


def _section(name: str, settings: Iterator[tuple[str, str, str]], stated: Mapping[str, Any]) -> Iterator[str]:
    """A table of settings: key, value in TOML, and what to say behind it. Stated ones come first."""
    yield f"[{name}]"
    given = {key: value for key, value in stated.items() if value is not None}
    for key, value in given.items():
        written = _toml(list(value) if isinstance(value, tuple) else value)
        yield printable(f"{f'{key} = {written}':<{_COLUMN}} # from an option")
    for key, value, remark in settings:
        if key not in given:
            setting = f"# {key} = {value}"
            # A name in a model may have a line feed, behind which it would be no comment.
            yield printable(f"{setting:<{_COLUMN}} # {remark}")
    yield ""


def _model(report: ModelReport) -> Iterator[tuple[str, str, str]]:
    facts = report.facts
    if facts is not None:
        yield "kind", _toml(facts.kind.value), f"from {facts.kind.source}"
    if report.default is not None:
        there = ", ".join(report.contents.signatures)
        choice = f"there are {there}" if len(report.contents.signatures) > 1 else "there is no other"
        yield "signature", _toml(report.default), f"for requests that name none; {choice}"
    if facts is not None and "stateful" not in report.untold:
        yield "stateful", _toml(facts.stateful.value), f"from {facts.stateful.source}"
    batch = report.spec.serving.runs.batch is not False
    yield "batch", _toml(batch), "false: rows of several callers never run together"
    if report.contents.tags:
        yield "tags", _toml(list(report.contents.tags)), "which graph of the SavedModel"
    signature = report.signature
    # The kind of a Keras file is open until it is converted.
    if signature is not None and report.kind in {ModelKind.TABLE, None}:
        yield from _columns(report, signature)


def _columns(report: ModelReport, signature: Signature) -> Iterator[tuple[str, str, str]]:
    """Names for the numbers of a table that takes them as one vector."""
    only = signature.inputs[0] if len(signature.inputs) == 1 else None
    if only is None or only.shape is None or len(only.shape) != 2:  # noqa: PLR2004 - [rows, numbers]
        return
    size = only.shape[1] or 0
    if 1 < size <= _MAX_COLUMNS:
        names = report.spec.serving.columns or tuple(f"column{number}" for number in range(1, size + 1))
        yield (
            "columns",
            _toml(list(names)),
            f"your names for the {size} numbers of {only.name}, in their order",
        )


def _signatures(report: ModelReport) -> Iterator[str]:
    """The signatures of a frozen graph, which has none itself. One that is not needed is left out."""
    if report.format is not ModelFormat.FROZEN_GRAPH:
        return
    for name, signature in report.contents.signatures.items():
        yield f"# [signatures.{_key(name)}]"
        for side, infos in (("inputs", signature.inputs), ("outputs", signature.outputs)):
            pairs = ", ".join(f"{_key(info.name)} = {_toml(info.tensor)}" for info in infos)
            yield f"# {side} = {{{pairs}}}"
        yield ""


def _input(report: ModelReport) -> Iterator[tuple[str, str, str]]:
    given = report.spec.input
    signature = report.signature
    if report.spec.path.is_file() and signature is not None and len(signature.inputs) == 1:
        yield "tensor", _toml(signature.inputs[0].tensor), "from the graph"
    size = given.size or input_size(signature)
    if size is not None:
        yield "size", _toml(list(size)), "height and width in pixels"
    yield "crop", _toml(given.crop or 1.0), "this part of the largest centred box; left out: squeezed"
    yield "resample", _toml(given.resample), "bilinear, bicubic, lanczos, box or nearest"
    yield "antialias", _toml(given.antialias), "false: like tf.image.resize by default"
    if not takes_grey(signature):
        yield "channels", _toml(given.channels), "rgb or bgr"
    scaling = None if report.facts is None else report.facts.scaling
    if scaling is None or report.refusal or "pixels" in report.untold:
        yield "mean", "0", "input = (pixel - mean) / std; for 0 to 1: 0 and 255"
        yield "std", "255", "for -1 to 1: 127.5 and 127.5; for 0 to 255: 0 and 1"
    elif scaling.value is not None:
        yield "mean", _toml(list(scaling.value.mean)), f"from {scaling.source}"
        yield "std", _toml(list(scaling.value.std)), f"from {scaling.source}"


def _output(report: ModelReport) -> Iterator[tuple[str, str, str]]:
    activation = None if report.facts is None else report.facts.activation
    signature = report.signature
    if report.spec.path.is_file() and signature is not None and len(signature.outputs) == 1:
        yield "tensor", _toml(signature.outputs[0].tensor), "from the graph"
    found = "none" if activation is None else f"{activation.value}, from {activation.source}"
    found = UNTOLD if "activation" in report.untold else found
    yield "activation", _toml("softmax"), f"softmax or sigmoid, for a graph without one; now: {found}"
    yield "threshold", "0.5", "answers leave out labels below it"


def _toml(value: Any) -> str:
    """The value in TOML, whose strings, numbers, truth values and lists are JSON's."""
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return name if name.isascii() and name.replace("_", "").replace("-", "").isalnum() else _toml(name)
