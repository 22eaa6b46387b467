"""The options of `tfleet up` for a model repository."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource

from tfleet.deploy.errors import CommandRefusedError
from tfleet.deploy.local.plan import RepositoryPlan
from tfleet.deploy.local.repository.source import ConfigSource, FolderSource, ModelSource
from tfleet.deploy.local.repository.values import RepositoryError
from tfleet.worker.model.graph_options import GraphOptions

_F = TypeVar("_F", bound=Callable[..., Any])

_OF_ONE_MODEL: Final = {"model", "model_name", "model_version", *(each.name for each in fields(GraphOptions))}
_GIVEN: Final = {ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT}


@dataclass(frozen=True, slots=True)
class RepositoryOptions:
    """The values of `repository_options`."""

    models: Path | None
    workers_per_model: int
    keep: int

    def plan(self, ctx: click.Context) -> RepositoryPlan | None:
        """The repository, or None without `--models`. It is looked at once.

        Raises click.UsageError for options that do not go together, CommandRefusedError if it can't be read.
        """
        if self.models is None:
            if given := _given(ctx, {"workers_per_model", "keep"}):
                raise click.UsageError(f"{given[0]} is for --models")
            return None
        if given := _given(ctx, _OF_ONE_MODEL):
            raise click.UsageError(
                f"{given[0]} is about one model, and --models names a folder of several: describe each in "
                "its own model.toml"
            )
        if given := _given(ctx, {"workers"}):
            raise click.UsageError(f"{given[0]}: with --models, set --workers-per-model")
        source: ModelSource = FolderSource(self.models, self.keep)
        if self.models.is_file():
            if _given(ctx, {"keep"}):
                raise click.UsageError("--keep is for a folder: the file says which versions are served")
            source = ConfigSource(self.models)
        try:
            source.poll()
        except RepositoryError as error:
            raise CommandRefusedError(f"--models {error}") from error
        return RepositoryPlan(source, self.workers_per_model)


def repository_options(command: _F) -> _F:
    """Add `--models`, `--workers-per-model` and `--keep`: see `RepositoryOptions`."""
    options = (
        click.option(
            "--models",
            type=click.Path(path_type=Path),
            metavar="DIR|FILE",
            help="Serve every model NAME/VERSION in this folder, and watch it: a new version starts beside "
            "the old one and takes over when it is ready. Or those of TensorFlow Serving's models.config.",
        ),
        click.option(
            "--workers-per-model",
            type=click.IntRange(min=1),
            default=1,
            help="With --models, the number of workers for each version.",
        ),
        click.option(
            "--keep",
            type=click.IntRange(min=0),
            default=0,
            help="With --models, how many older versions of a model stay running beside the newest.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _given(ctx: click.Context, names: Collection[str]) -> list[str]:
    """The flags of those options that were given, on the command line or by a variable."""
    return [
        max(option.opts, key=len)
        for option in ctx.command.params
        if option.name in names and ctx.get_parameter_source(option.name) in _GIVEN
    ]
