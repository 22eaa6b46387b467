"""`tfleet model check`."""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import structlog

from tfleet.discovery.options import options_as
from tfleet.runtime import log
from tfleet.runtime.printable import printable
from tfleet.worker.image.errors import ImageError
from tfleet.worker.inference.batch_sizes import batch_sizes
from tfleet.worker.inference.errors import BadInputError
from tfleet.worker.inference.load import before_tensorflow
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.graph_options import GraphOptions, graph_options, trust_option
from tfleet.worker.model.model_path import ModelPath, ModelUrl
from tfleet.worker.options import ModelOptions

if TYPE_CHECKING:
    from tfleet.worker.commands.check_report import CheckReport, ExampleCheck
    from tfleet.worker.inference.loaded_model import LoadedModel
    from tfleet.worker.model.spec import ModelSpec

_LARGEST_BATCH = 8


@click.command(context_settings={"show_default": True})
@click.argument("path", required=False, type=ModelPath())
@click.argument("examples", nargs=-1, metavar="[EXAMPLE]...", type=click.Path(path_type=Path, exists=True))
@graph_options
@options_as(GraphOptions, "graph")
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(
    path: Path | ModelUrl | None,
    examples: tuple[Path, ...],
    graph: GraphOptions,
    trust: bool,
    as_json: bool,
) -> None:
    """Load a model as a worker does, run it, and print what came of it.

    PATH is what `tfleet worker --model` takes. An EXAMPLE is an image for an image model, and the body of a
    request for any other: JSON, CSV, an Arrow stream, .npy or .npz. Without one a generated row is run. The
    exit code is 2 if the model can't be served, and 1 if an example can't be answered.

    \b
      tfleet model check flowers/1 photo.jpg
      tfleet model check house-prices/1 rows.json --json
    """
    log.configure("console", level="warning")
    try:
        report, problems = _report(ModelOptions(path, trust, graph).find(), examples)
    except ModelError as error:
        click.echo(printable(f"tfleet model check: {error}"), err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
    else:
        from tfleet.worker.commands.check_report import as_lines  # noqa: PLC0415 - imports TensorFlow

        for line in as_lines(report):
            click.echo(printable(line))
    for problem in problems:
        click.echo(printable(f"tfleet model check: {problem}"), err=True)
    if problems:
        sys.exit(1)


def _report(spec: ModelSpec, examples: tuple[Path, ...]) -> tuple[CheckReport, list[str]]:
    """What came of the model, and a line for each example that it did not answer. Raises `ModelError`."""
    logger: Any = structlog.get_logger()
    spec = before_tensorflow(spec, logger)
    # These import TensorFlow, which takes seconds: what can be told before is told before.
    from tfleet.worker.api.protocols.example_body import read_example  # noqa: PLC0415 - only a check needs it
    from tfleet.worker.commands.check_report import (  # noqa: PLC0415 - it imports TensorFlow
        CheckReport,
        check_signatures,
        resident_mib,
    )
    from tfleet.worker.inference.open_model import load_model  # noqa: PLC0415 - it imports TensorFlow

    before_mib, began_s = resident_mib(), time.perf_counter()
    with closing(load_model(spec, read_body=read_example)) as model:
        load_s = time.perf_counter() - began_s
        warm_up_s = model.warm_up(batch_sizes(_LARGEST_BATCH))
        signatures = check_signatures(model)
        answered, problems = _examples(model, examples)
        report = CheckReport(
            model=spec.label,
            kind=str(model.facts.kind),
            form=model.form,
            load_s=load_s,
            warm_up_s=warm_up_s,
            memory_mib=resident_mib() - before_mib,
            signatures=signatures,
            examples=tuple(answered),
        )
    return report, problems


def _examples(model: LoadedModel, paths: tuple[Path, ...]) -> tuple[list[ExampleCheck], list[str]]:
    from tfleet.worker.commands.check_report import check_image, check_tensors  # noqa: PLC0415 - TensorFlow

    answered, problems = [], []
    for path in paths:
        try:
            if model.classifier is not None:
                answered.append(check_image(model.classifier, path))
            else:
                answered.append(check_tensors(model, path.name, _inputs(model, path)))
        except (BadInputError, ImageError, OSError, ValueError) as error:
            problems.append(f"{path}: {error}")
    if not paths:
        answered = [
            check_tensors(model, "a generated row", each.inputs)
            for each in model.checks
            if each.signature == model.session.default
            and each.inputs is not None
            and not model.session.signatures[each.signature].stateful
        ]
    return answered, problems


def _inputs(model: LoadedModel, path: Path) -> Any:
    from tfleet.worker.api.protocols.example_body import read_example  # noqa: PLC0415 - only when needed

    if model.session.default is None:
        raise BadInputError("the model has several signatures, and none is the default")
    signature = model.session.signatures[model.session.default]
    return read_example(path.read_bytes(), signature, model.facts.columns.value, content_type_of(path))


def content_type_of(path: Path) -> str:
    """The media type of an example by its suffix; JSON for any other."""
    types = {
        ".csv": "text/csv",
        ".arrow": "application/vnd.apache.arrow.stream",
        ".arrows": "application/vnd.apache.arrow.stream",
        ".npy": "application/x-npy",
        ".npz": "application/x-npz",
    }
    return types.get(path.suffix.lower(), "application/json")
