"""`tfleet model init`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from tfleet.runtime.printable import printable
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.find import find_model, manifest_file
from tfleet.worker.model.manifest_draft import draft
from tfleet.worker.model.report import look_at


@click.command(context_settings={"show_default": True})
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def init(path: Path, as_json: bool) -> None:
    """Write a model.toml with everything that was found out about a model, as comments.

    PATH is the model's folder, or a model file that has a folder of its own. A model.toml that exists is not
    overwritten. The new one changes nothing until you remove a #.

    \b
      tfleet model init flowers/1
    """
    try:
        file = manifest_file(path)
        text = draft(look_at(find_model(path)))
        try:
            with file.open("x", encoding="utf-8") as new:
                new.write(text)
        except FileExistsError:
            raise ModelError(f"{file}: exists already: remove or rename it first") from None
        except OSError as error:
            raise ModelError(f"{file}: cannot be written: {error.strerror or error}") from error
    except ModelError as error:
        click.echo(printable(f"tfleet model init: {error}"), err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps({"file": str(file), "text": text}, indent=2))
    else:
        click.echo(
            printable(f"{file}: remove a # to state a value; then look: tfleet model show {file.parent}")
        )
