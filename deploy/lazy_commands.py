"""Import each command only when it runs, with the environment variables of its options.

`tfleet proxy` must start where neither TensorFlow nor Flask is installed, and `tfleet --help` must be fast.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

import click

from tfleet.deploy.errors import CommandRefusedError
from tfleet.deploy.variables import give_variables, unknown_variable_message, unknown_variables
from tfleet.runtime.clean_exit import INTERRUPTED

UNKNOWN_VARIABLES: Final = "tfleet.unknown_variables"
"""The key of a context's `meta` with the variables that were warned of."""


class LazyCommand(click.Command):
    """A placeholder in a group for the command at `path` (`package.module:attribute`), with one line of help.

    `extra` names the extra of this package that the command needs, or several separated by commas; None if it
    needs none.
    """

    def __init__(self, name: str, path: str, *, short_help: str, extra: str | None = None) -> None:
        super().__init__(name, short_help=short_help)
        self.path = path
        self.extra = extra

    def load(self) -> click.Command:
        """Import the command. Raises ModuleNotFoundError if its extra is not installed."""
        module, _, attribute = self.path.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        give_variables(command)
        return command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Make a context of the real command, which click then runs.

        Unknown variables are warned of first: a misspelled one may be why the command does not do what was
        asked.
        """
        command = self.load()
        if parent is not None and isinstance(parent.command, LazyGroup):
            names = parent.command.unknown_variables(os.environ)
            parent.meta[UNKNOWN_VARIABLES] = names
            for name in names:
                click.echo(f"{parent.command_path} {info_name}: {unknown_variable_message(name)}", err=True)
        return command.make_context(info_name, args, parent, **extra)


class LazyGroup(click.Group):
    """A group of lazy commands that names the missing extra of a command, at its import and while it runs."""

    def leaves(self, prefix: str = "") -> Iterator[tuple[str, LazyCommand]]:
        """The commands in this group and in groups within, by what is typed after the program's name."""
        for name, command in self.commands.items():
            if isinstance(command, LazyGroup):
                yield from command.leaves(f"{prefix}{name} ")
            elif isinstance(command, LazyCommand):
                yield f"{prefix}{name}", command

    def unknown_variables(self, environ: Mapping[str, str]) -> list[str]:
        """The variables that begin like tfleet's and that no command has."""
        return unknown_variables(environ)

    def invoke(self, ctx: click.Context) -> Any:
        """Raises CommandRefusedError instead of ModuleNotFoundError for a module that an extra would
        install. Ctrl-C during the import has the exit code that it has later; click's own is 1.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except ModuleNotFoundError as error:
            command = self.commands.get(ctx.invoked_subcommand or "")
            extra = command.extra if isinstance(command, LazyCommand) else None
            if extra is None or (error.name or "").split(".")[0] == "tfleet":  # a bug of ours
                raise
            raise CommandRefusedError(
                f"the Python module {error.name} is missing: {ctx.command_path} {ctx.invoked_subcommand} "
                f"needs the {_extras(extra)}: pip install 'tfleet[{extra}]'"
            ) from error


def _extras(extra: str) -> str:
    quoted = " and ".join(f'"{each}"' for each in extra.split(","))
    return f"extras {quoted}" if "," in extra else f"extra {quoted}"
