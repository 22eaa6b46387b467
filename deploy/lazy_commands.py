"""Import each command only when it runs, and give each of its options the environment variable
TFLEET_<OPTION>.

`tfleet proxy` must start where neither TensorFlow nor Flask is installed, and `tfleet --help` must be fast.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final

import click

from tfleet.deploy.errors import CommandRefusedError

PREFIX: Final = "TFLEET_"


def variable(option: click.Option) -> str:
    """The variable of an option, from its longest flag: `--max-body-bytes` is TFLEET_MAX_BODY_BYTES.

    From the flag and not from the parameter's Python name, because the documentation shows the flag.
    """
    flag = max(option.opts, key=len)
    return PREFIX + flag.lstrip("-").replace("-", "_").upper()


def variables(command: click.Command) -> set[str]:
    """The variables of all options of a command."""
    return {variable(option) for option in command.params if isinstance(option, click.Option)}


def give_variables(command: click.Command) -> None:
    """Let each option of `command` be set by its variable, and show the variable in --help.

    A variable that the option names itself (COMPOSE_PROJECT_NAME) comes second. Click's own
    `auto_envvar_prefix` would add the command's name (TFLEET_WORKER_PORT): then one variable could not
    configure the whole fleet, and Kubernetes sets that very name for a service called tfleet-worker.
    """
    for option in command.params:
        if not isinstance(option, click.Option) or option.is_eager:  # eager ones, like --version, only print
            continue
        name, own = variable(option), option.envvar
        others = (own,) if isinstance(own, str) else tuple(own or ())
        option.envvar = [name, *(other for other in others if other != name)]
        option.show_envvar = True


# The variables of all commands. They are listed here, and checked by a test, because importing all commands
# takes a second and fails without their extras.
KNOWN: Final = frozenset(
    f"{PREFIX}{name}"
    for name in (
        *("ADMIN_PORT", "ADVERTISE", "ADVERTISE_WAN", "ALLOW_HOST", "BALANCE", "CLIENT_TIMEOUT"),
        "COMPOSE_SERVICE",
        *(
            "CONCURRENCY",
            "COOLDOWN",
            "CORS_ORIGIN",
            "CPUS",
            "DECODE_TIMEOUT",
            "DRAIN_GRACE",
            "DRAIN_TIMEOUT",
            "DRY_RUN",
            "HEADER_TIMEOUT",
        ),
        *("HOST", "IDLE_TIMEOUT", "INPUT_LAYER", "INPUT_MEAN", "INPUT_SIZE", "INPUT_STD", "INTERVAL", "JSON"),
        *("LABELS", "LISTENERS", "LOG_FORMAT", "LOG_LEVEL", "MAX", "MAX_BATCH", "MAX_BODY_BYTES"),
        *("MAX_CONNECTIONS", "MAX_PIXELS", "MAX_QUEUE", "MAX_QUEUE_BYTES", "MIN", "MODE", "MODEL"),
        *("OUTPUT_LAYER", "P2P", "PORT", "PRECISION", "PRECISION_TOLERANCE", "PROJECT_NAME", "PROXY"),
        *("REGISTRY", "REGISTRY_PORT", "REGISTRY_TOKEN_FILE", "REPLAY_BYTES", "REPLAY_TOTAL_BYTES"),
        *("RETRY_FLOOR", "RETRY_SHARE"),
        *("SELF_TEST", "SERVICE", "SLOW_START", "STABILIZATION", "TARGET_BUSY", "TARGET_QUEUE", "THREADS"),
        *("TICKET_KEY_FILE", "TIMEOUT", "TOP", "TRY_TIMEOUT", "UNREACHABLE", "WAIT", "WAIT_TIMEOUT"),
        *("WORKERS", "YES"),
    )
)
# Kubernetes sets these for services called tfleet or tfleet-something.
_OF_KUBERNETES: Final = re.compile(r"TFLEET_(\w+_)?(SERVICE_(HOST|PORT\w*)|PORT_\d+_(TCP|UDP|SCTP)\w*)")
_VALUE_OF_KUBERNETES: Final = re.compile(r"(tcp|udp|sctp)://")


def unknown(environ: Mapping[str, str], known: Collection[str] = KNOWN) -> list[str]:
    """The names that begin like tfleet's variables but are none, sorted."""
    return sorted(
        name
        for name, value in environ.items()
        if name.startswith(PREFIX)
        and name not in known
        and not _OF_KUBERNETES.fullmatch(name)
        and not _VALUE_OF_KUBERNETES.match(value)
    )


def unknown_variable_message(name: str, known: Iterable[str] = KNOWN) -> str:
    """The warning for an unknown variable, with the name that was probably meant."""
    close = get_close_matches(name, sorted(known))
    meant = min(
        close, key=lambda each: sorted(each) != sorted(name), default=""
    )  # swapped letters are the likeliest mistake
    return f"{name} is not one of tfleet's variables" + (f": did you mean {meant}?" if meant else "")


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
                click.echo(f"tfleet {info_name}: {unknown_variable_message(name)}", err=True)
        return command.make_context(info_name, args, parent, **extra)


class LazyGroup(click.Group):
    """A group of lazy commands that names the missing extra of a command, at its import and while it runs."""

    def unknown_variables(self, environ: Mapping[str, str]) -> list[str]:
        """The variables that begin like tfleet's and that no command has."""
        return unknown(environ)

    def invoke(self, ctx: click.Context) -> Any:
        """Raises CommandRefusedError instead of ModuleNotFoundError for a module that an extra would
        install.
        """
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            command = self.commands.get(ctx.invoked_subcommand or "")
            extra = command.extra if isinstance(command, LazyCommand) else None
            if extra is None or (error.name or "").split(".")[0] == "tfleet":  # a bug of ours
                raise
            raise CommandRefusedError(
                f"the Python module {error.name} is missing: {ctx.info_name} {ctx.invoked_subcommand} "
                f"needs the {_extras(extra)}: pip install 'tfleet[{extra}]'"
            ) from error


def _extras(extra: str) -> str:
    quoted = " and ".join(f'"{each}"' for each in extra.split(","))
    return f"extras {quoted}" if "," in extra else f"extra {quoted}"
