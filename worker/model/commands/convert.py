"""`tfleet model convert`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from tfleet.runtime.printable import printable
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.keras.convert import convert as convert_file
from tfleet.worker.model.keras.file import read_keras_file
from tfleet.worker.model.model_path import ModelPath, ModelUrl
from tfleet.worker.model.remote_progress import local_model


@click.command(context_settings={"show_default": True})
@click.argument("source", metavar="IN", type=ModelPath())
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--trust",
    is_flag=True,
    help="Run Python code that is part of the model: Lambda layers, and classes that the file names and that "
    "can be imported. Only for files of people whom you trust.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def convert(source: Path | ModelUrl, target: Path, trust: bool, as_json: bool) -> None:
    """Convert the Keras file IN (.keras or .h5, or its URL) to a SavedModel in the new folder OUT.

    A worker does the same by itself, and keeps the result in a cache. The inputs and outputs have the names
    and types of the model's own. The SavedModel's answers are compared with Keras' before OUT appears.

    \b
      tfleet model convert flowers.keras flowers/1
      tfleet up --model flowers/1
    """
    try:
        if target.exists() or target.is_symlink():
            raise ModelError(f"{target}: exists already: name a new folder")
        path = local_model(source)
        assert path is not None  # it is only for a model that is not named
        if path.is_dir():
            raise ModelError(
                f"{path}: is a folder: name a .keras or .h5 file; a SavedModel needs no conversion"
            )
        file = read_keras_file(path)
        if trust and file.code:
            click.echo("tfleet model convert: warning: code of the model runs (--trust)", err=True)
        made = convert_file(
            file, target, trust=trust, progress=lambda stage: click.echo(f"{stage} ...", err=True)
        )
    except ModelError as error:
        click.echo(printable(f"tfleet model convert: {error}"), err=True)
        sys.exit(2)
    if not made.compared:
        click.echo("warning: no made-up input fits the model: its answers were not compared", err=True)
    if as_json:
        click.echo(
            json.dumps({"folder": str(target), "seconds": made.seconds, "compared": made.compared}, indent=2)
        )
    else:
        click.echo(printable(f"{target}: a SavedModel, made in {made.seconds:.1f} s"))
