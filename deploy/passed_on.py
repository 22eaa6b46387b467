"""Options that one command has from another one, and passes on to it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import click
from click.core import ParameterSource


def passed_on(ctx: click.Context, names: Collection[str]) -> tuple[str, ...]:
    """The options of these names that the command line says, as another command line has them.

    What the environment says is not among them: the other command sees it, too.
    """
    said = (
        option
        for option in ctx.command.params
        if isinstance(option, click.Option)
        and option.name in names
        and ctx.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    )
    return tuple(argument for option in said for argument in _arguments(option, ctx.params[str(option.name)]))


def _arguments(option: click.Option, value: Any) -> Iterator[str]:
    flag = max(option.opts, key=len)
    if option.is_flag:
        yield flag if value else max(option.secondary_opts, key=len)
        return
    for each in value if option.multiple else (value,):
        yield from (flag, str(each))
