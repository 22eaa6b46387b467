"""The option `--proxy`, the same for every command that asks a proxy, and what to do where none answers."""

from __future__ import annotations

from typing import Final

import click

from tfleet.client.errors import FleetError, FleetUnavailableError
from tfleet.client.printable import printable
from tfleet.client.proxy_url import DEFAULT_PROXY, BadProxyError
from tfleet.client.whereabouts import parse_whereabouts

HINT: Final = "Is the fleet up? Start one with `tfleet up`, or say with --proxy where it is."


def with_hint(error: FleetError) -> str:
    """One line: what went wrong with the proxy and, where it can't be reached, what to do."""
    return printable(f"{error}. {HINT}" if isinstance(error, FleetUnavailableError) else str(error))


def _checked(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        parse_whereabouts(value)
    except BadProxyError as error:
        raise click.BadParameter(str(error)) from error
    return value


proxy_option = click.option(
    "--proxy",
    metavar="URL",
    multiple=True,
    callback=_checked,
    default=(DEFAULT_PROXY,),
    show_default=True,
    envvar="TFLEET_PROXY",
    show_envvar=True,
    help="The proxy: HOST:PORT or a URL, whose path is put before that of each request. Several may be "
    "named, once each or with commas between; or consul://HOST:PORT, where they are registered.",
)
