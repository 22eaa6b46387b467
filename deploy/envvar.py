"""Every option of every command is also the environment variable TFLEET_<OPTION>."""

from __future__ import annotations

from typing import Final

import click

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
