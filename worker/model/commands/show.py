"""`tfleet model show`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tfleet.discovery.options import options_as
from tfleet.runtime.printable import printable
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.find import unread_files
from tfleet.worker.model.graph_options import GraphOptions, graph_options, trust_option
from tfleet.worker.model.keras.facts import UNTOLD
from tfleet.worker.model.missing_ops import describe_missing, registered_ops
from tfleet.worker.model.model_path import ModelPath, ModelUrl
from tfleet.worker.model.remote_progress import local_model
from tfleet.worker.model.report import ModelReport, look_at
from tfleet.worker.model.shown_facts import ShownFact, shown_facts, stated_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tfleet.worker.model.signature import Signature, TensorInfo

_MAX_TENSORS: Final = 40
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")
_UNIT: Final = 1024


@click.command(context_settings={"show_default": True})
@click.argument("path", required=False, type=ModelPath())
@graph_options
@options_as(GraphOptions, "graph")
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(path: Path | ModelUrl | None, graph: GraphOptions, trust: bool, as_json: bool) -> None:
    """Print what a model is, without loading it: its signatures, and what was found out about it.

    PATH is what `tfleet worker --model` takes; without it, the model that comes with tfleet is shown.
    TensorFlow is not imported, and no code of the model runs, not even with --trust: `tfleet model check`
    says whether the model runs. The other options are those of `tfleet worker`.

    \b
      tfleet model show flowers/1
      tfleet model show model.keras --json
      tfleet model show graph.pb --labels labels.txt --input-mean 127 --input-std 128
    """
    try:
        report = look_at(graph.find(local_model(path), trust=trust))
    except ModelError as error:
        click.echo(printable(f"tfleet model show: {error}"), err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps(as_document(report), indent=2))
        return
    for line in as_lines(report):
        click.echo(printable(line))


def as_document(report: ModelReport) -> dict[str, Any]:
    """The report as JSON has it. A size of null is any size, a shape of null an unknown rank."""
    spec = report.spec
    return {
        "name": spec.name,
        "version": spec.version,
        "path": str(spec.path),
        "format": report.format.value,
        "bytes": report.size_bytes,
        "writer": report.contents.writer or None,
        "tags": [list(tags) for tags in report.contents.all_tags],
        "default_signature": report.default,
        "signatures": {
            name: {
                "inputs": [_tensor(info) for info in signature.inputs],
                "outputs": [_tensor(info) for info in signature.outputs],
                "method": signature.method or None,
            }
            for name, signature in report.contents.signatures.items()
        },
        "facts": {
            fact.name: {
                "value": fact.value if fact.source else None,
                "source": fact.source or None,
            }
            for fact in _facts(report)
        },
        "refusal": report.refusal or None,
        "labels": list(spec.labels),
        "not_read": [str(file) for file in unread_files(spec)],
        "code": list(report.contents.code),
        "missing_operations": list(report.contents.missing_ops),
        "example": report.example,
    }


def _tensor(info: TensorInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "dtype": info.dtype,
        "shape": None if info.shape is None else list(info.shape),
        "tensor": info.tensor or None,
        "optional": info.optional,
    }


def as_lines(report: ModelReport) -> Iterator[str]:
    """The report for people."""
    spec = report.spec
    yield f"model       {spec.label}"
    yield f"path        {spec.path}"
    by = f", by {report.contents.writer}" if report.contents.writer else ""
    yield f"format      {report.format}{by}, {_size(report.size_bytes)}"
    if report.contents.all_tags:
        yield f"tags        {'; '.join(','.join(tags) or '(none)' for tags in report.contents.all_tags)}"
    if report.facts is None and report.spec.serving.kind is None:
        yield f"kind        {UNTOLD}"
    for fact in _facts(report):
        yield f"{fact.name:<11} {fact.value}{f'  (from {fact.source})' if fact.source else ''}"
    for name, signature in report.contents.signatures.items():
        yield from _signature_lines(signature, default=name == report.default)
    if not report.contents.signatures:
        yield "signature   none"
    yield from _problem_lines(report)
    if report.example:
        yield f"call it     {report.example}"


def _problem_lines(report: ModelReport) -> Iterator[str]:
    """What may keep a worker from serving the model, or from serving it as it was meant."""
    if report.contents.code:
        yield f"code        {', '.join(report.contents.code)}: Python code, see --trust"
    if report.contents.missing_ops:
        names = ", ".join(map(describe_missing, report.contents.missing_ops))
        yield f"missing ops {names}: TensorFlow {registered_ops().version} does not have them"
    if unread := unread_files(report.spec):
        files = ", ".join(file.name for file in unread)
        yield f"not read    {files}: other models are in this folder too"
    if report.refusal:
        yield f"refused     {report.refusal}"


def _facts(report: ModelReport) -> tuple[ShownFact, ...]:
    if report.facts is None:
        return stated_facts(report.spec)
    shown = shown_facts(report.spec, report.facts, report.signature)
    return tuple(ShownFact(fact.name, UNTOLD, "") if fact.name in report.untold else fact for fact in shown)


def _signature_lines(signature: Signature, *, default: bool) -> Iterator[str]:
    method = f", {signature.method}" if signature.method else ""
    yield f"signature   {signature.name}{' (default)' if default else ''}{method}"
    for title, infos in (("input", signature.inputs), ("output", signature.outputs)):
        for info in infos[:_MAX_TENSORS]:
            text = f"{info.name} {info.dtype}, shape unknown" if info.shape is None else str(info)
            yield f"  {title:<9} {text}{' (optional)' if info.optional else ''}"
        if len(infos) > _MAX_TENSORS:
            yield f"  {title:<9} ... and {len(infos) - _MAX_TENSORS} more"


def _size(count: float) -> str:
    """Such as `17.6 MiB`."""
    for unit in _UNITS[:-1]:
        if count < _UNIT:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= _UNIT
    return f"{count:.1f} {_UNITS[-1]}"
