"""Every option of every command is also the environment variable TFLEET_<OPTION>.

The environment variables that tfleet heeds, and what is said of one that it does not.

Commands that are imported only when they run.

`tfleet proxy` must start where neither TensorFlow nor Flask is installed, and `tfleet --help` at once.
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
    """The variable of an option, after its longest flag: `--max-body-bytes` is TFLEET_MAX_BODY_BYTES.

    After the flag, and not the parameter's Python name, because the flag is what the documentation shows.
    """
    flag = max(option.opts, key=len)
    return PREFIX + flag.lstrip("-").replace("-", "_").upper()


def variables(command: click.Command) -> set[str]:
    """Those of all its options."""
    return {variable(option) for option in command.params if isinstance(option, click.Option)}


def give_variables(command: click.Command) -> None:
    """Give each option of `command` its variable, before any that it names itself, and show it in --help.

    Click's own `auto_envvar_prefix` would put the command's name between (TFLEET_WORKER_PORT): then one
    variable could not speak to the whole fleet. And TFLEET_WORKER_PORT is among the names that Kubernetes
    sets by itself, for a service called tfleet-worker.
    """
    for option in command.params:
        if not isinstance(option, click.Option) or option.is_eager:  # eager ones, like --version, only print
            continue
        name, own = variable(option), option.envvar
        others = (own,) if isinstance(own, str) else tuple(own or ())
        option.envvar = [name, *(other for other in others if other != name)]
        option.show_envvar = True


# Those of all commands, written down: to import them all takes a second, and extras may be missing here.
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
    """The names that look like tfleet's and are not, in order."""
    return sorted(
        name
        for name, value in environ.items()
        if name.startswith(PREFIX)
        and name not in known
        and not _OF_KUBERNETES.fullmatch(name)
        and not _VALUE_OF_KUBERNETES.match(value)
    )


def complaint(name: str, known: Iterable[str] = KNOWN) -> str:
    """What to say of one of these, with the name that was probably meant."""
    close = get_close_matches(name, sorted(known))
    meant = min(close, key=lambda each: sorted(each) != sorted(name), default="")  # two letters exchanged
    return f"{name} is none of tfleet's variables" + (f": did you mean {meant}?" if meant else "")


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
            raise CommandRefusedError(
                f"there is no module {error.name}: {ctx.info_name} {ctx.invoked_subcommand} "
                f"needs the {_extras(extra)}: pip install 'tfleet[{extra}]'"
            ) from error


def _extras(extra: str) -> str:
    quoted = " and ".join(f'"{each}"' for each in extra.split(","))
    return f"extras {quoted}" if "," in extra else f"extra {quoted}"
