"""`tfleet model init`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from tfleet.discovery.options import options_as
from tfleet.runtime.printable import printable
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.find import LABELS, manifest_file
from tfleet.worker.model.graph_options import GraphOptions, graph_options, trust_option
from tfleet.worker.model.manifest_draft import draft
from tfleet.worker.model.report import look_at


@click.command(context_settings={"show_default": True})
@click.argument("path", type=click.Path(path_type=Path))
@graph_options
@options_as(GraphOptions, "graph")
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def init(path: Path, graph: GraphOptions, trust: bool, as_json: bool) -> None:
    """Write a model.toml with everything that was found out about a model, as comments.

    PATH is the model's folder, or a model file that has a folder of its own. A model.toml that exists is not
    overwritten. The new one changes nothing until you remove a #. The other options are those of `tfleet
    worker`: the model.toml states what they say, and --labels is copied to labels.txt beside it.

    \b
      tfleet model init flowers/1
      tfleet model init flowers/1 --labels names.txt --input-mean 127.5 --input-std 127.5
    """
    try:
        file = manifest_file(path)
        if file.exists():
            raise ModelError(f"{file}: exists already: remove or rename it first")
        text = draft(look_at(graph.find(path, trust=trust)))
        if graph.labels is not None:
            _write_new(file.with_name(LABELS), graph.labels.read_bytes())
        _write_new(file, text.encode())
    except ModelError as error:
        click.echo(printable(f"tfleet model init: {error}"), err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps({"file": str(file), "text": text}, indent=2))
    else:
        click.echo(
            printable(f"{file}: remove a # to state a value; then look: tfleet model show {file.parent}")
        )


def _write_new(file: Path, content: bytes) -> None:
    """Write a file that does not exist, or has this content already. Raises `ModelError`."""
    try:
        with file.open("xb") as new:
            new.write(content)
    except FileExistsError:
        if file.read_bytes() != content:
            raise ModelError(f"{file}: exists already: remove or rename it first") from None
    except OSError as error:
        raise ModelError(f"{file}: cannot be written: {error.strerror or error}") from error
