"""The options that describe a model without model.toml, for every command that takes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import click

from tfleet.worker.model.find import find_model
from tfleet.worker.model.spec import ACTIVATIONS, Activation, ModelSpec

_F = TypeVar("_F", bound=Callable[..., Any])


def graph_options(command: _F) -> _F:
    """What describes a model without model.toml. See `GraphOptions`."""
    options = (
        click.option(
            "--labels",
            type=click.Path(path_type=Path),
            help="File with the labels of a model without model.toml, one label a line.",
        ),
        click.option(
            "--input-layer", help="Input tensor of a model without model.toml, such as DecodeJpeg/contents:0."
        ),
        click.option(
            "--output-layer", help="Output tensor of a model without model.toml, such as final_result:0."
        ),
        click.option(
            "--input-size",
            type=click.IntRange(min=1),
            help="Height and width in pixels of the input of a model without model.toml.",
        ),
        click.option(
            "--input-mean",
            type=float,
            help="Mean for a model without model.toml: subtracted from each pixel (0 to 255).",
        ),
        click.option(
            "--input-std",
            type=float,
            help="Standard deviation for a model without model.toml: the difference is divided by it.",
        ),
        click.option(
            "--activation",
            type=click.Choice(ACTIVATIONS),
            help="What turns a model's output into probabilities.  [default: what the graph ends in; "
            "without that, answers have scores]",
        ),
        click.option(
            "--signature",
            help="The signature for requests that name none.  [default: serving_default, or the only one]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


trust_option = click.option(
    "--trust",
    is_flag=True,
    help="Run Python code that is part of the model: Lambda layers of a Keras file, and classes that "
    "it names and that can be imported. Only for files of people whom you trust.",
)


@dataclass(frozen=True, slots=True)
class GraphOptions:
    """What describes a model without model.toml; see `find_model`."""

    labels: Path | None
    input_layer: str | None
    output_layer: str | None
    input_size: int | None
    input_mean: float | None
    input_std: float | None
    activation: Activation | None
    signature: str | None

    def find(self, path: Path | None, *, trust: bool) -> ModelSpec:
        """The model at `path` as these options describe it. Raises `ModelError`."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return find_model(path, trust=trust, **values)
