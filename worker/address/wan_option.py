"""The option `--advertise-wan`: the worker's address for clients outside of the fleet's network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from tfleet.contract.address import Address, BadAddressError, is_host
from tfleet.worker.address.docker_port import published_port

FindWan = Callable[[int], Address]
"""Takes the port that the worker listens on, and returns its WAN address. May raise NotPublishedError."""

_DOCKER: Final = "docker"
_F = TypeVar("_F", bound=Callable[..., Any])


def parse_wan(text: str) -> FindWan:
    """Parse HOST:PORT, `docker` or HOST:docker. Raises BadAddressError."""
    host, colon, port = text.strip().rpartition(":")
    if port == _DOCKER:
        if colon and not is_host(host.strip("[]")):
            raise BadAddressError(f"{text!r} has no usable host before :{_DOCKER}")
        return lambda listening_port: published_port(listening_port, host.strip("[]"))
    fixed = Address.parse(text)
    return lambda _: fixed


def advertise_wan_option(command: _F) -> _F:
    """Add `--advertise-wan` to a command, as a FindWan or None."""
    return click.option(
        "--advertise-wan",
        "find_wan",
        metavar=f"HOST:PORT|{_DOCKER}|HOST:{_DOCKER}",
        callback=_read,
        help="A second address, for clients outside of the fleet's network; "
        f"with {_DOCKER} the published port is read from Docker.  [default: none]",
    )(command)


def _read(_ctx: click.Context, _param: click.Parameter, text: str | None) -> FindWan | None:
    try:
        return parse_wan(text) if text else None
    except BadAddressError as error:
        raise click.UsageError(f"--advertise-wan: {error}") from error
