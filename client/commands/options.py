"""The option `--proxy` of the client commands, and the hint for a proxy that does not answer."""

from __future__ import annotations

from typing import Final

import click

from tfleet.client.errors import FleetError, FleetUnavailableError
from tfleet.client.proxies.addresses import DEFAULT_PROXY, BadProxyError, parse_proxies
from tfleet.client.text import printable

HINT: Final = "Is the fleet up? Start one with `tfleet up`, or name its proxy with --proxy."


def with_hint(error: FleetError) -> str:
    """One line: what went wrong with the proxy and, if it can't be reached, what to do."""
    return printable(f"{error}. {HINT}" if isinstance(error, FleetUnavailableError) else str(error))


def _checked(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        parse_proxies(value)
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
    help="The proxy: HOST:PORT, or a URL whose path is a prefix for all requests. For several proxies repeat "
    "the option or separate them by commas. consul://HOST:PORT finds the proxies registered in a Consul.",
)
