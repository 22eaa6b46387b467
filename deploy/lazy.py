"""Commands that are imported only when they run.

`tfleet proxy` must start where neither TensorFlow nor Flask is installed, and `tfleet --help` at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import click

from tfleet.deploy.envvar import give_variables
from tfleet.deploy.refusal import RefusedError
from tfleet.deploy.variables import complaint, unknown

STRANGERS: Final = "tfleet.strangers"
"""Where a context's `meta` has the variables that were complained of."""


class LazyCommand(click.Command):
    """Stands in a group for the command at `path` (`package.module:attribute`), with one line of help.

    `extra` is the extra of the package that brings what the command imports, or several with commas between;
    None where nothing is needed beyond the package itself.
    """

    def __init__(self, name: str, path: str, *, short_help: str, extra: str | None = None) -> None:
        super().__init__(name, short_help=short_help)
        self.path = path
        self.extra = extra

    def load(self) -> click.Command:
        """Import the command. Raises ModuleNotFoundError where its extra is not installed."""
        module, _, attribute = self.path.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        give_variables(command)
        return command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Click runs a context's own command, so from here on it only sees the real one.

        A variable that is nobody's is complained of first: it may be why the command does not do as asked.
        """
        command = self.load()
        if parent is not None and isinstance(parent.command, LazyGroup):
            strangers = parent.command.strangers(os.environ)
            parent.meta[STRANGERS] = strangers
            for name in strangers:
                click.echo(f"tfleet {info_name}: {complaint(name)}", err=True)
        return command.make_context(info_name, args, parent, **extra)


class LazyGroup(click.Group):
    """A group of lazy commands that says which extra a command lacks, whether on import or in its run."""

    def strangers(self, environ: Mapping[str, str]) -> list[str]:
        """The variables that look like tfleet's and that no command has."""
        return unknown(environ)

    def invoke(self, ctx: click.Context) -> Any:
        """Raises RefusedError instead of ModuleNotFoundError for a module that an extra would bring."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            command = self.commands.get(ctx.invoked_subcommand or "")
            extra = command.extra if isinstance(command, LazyCommand) else None
            if extra is None or (error.name or "").split(".")[0] == "tfleet":  # our own mistake: let it show
                raise
            raise RefusedError(
                f"there is no module {error.name}: {ctx.info_name} {ctx.invoked_subcommand} "
                f"needs the {_extras(extra)}: pip install 'tfleet[{extra}]'"
            ) from error


def _extras(extra: str) -> str:
    quoted = " and ".join(f'"{each}"' for each in extra.split(","))
    return f"extras {quoted}" if "," in extra else f"extra {quoted}"
