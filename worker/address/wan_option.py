"""What `--advertise-wan` says: where clients outside of the fleet's network find this worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from tfleet.contract.address import Address, BadAddressError, is_host
from tfleet.worker.address.docker_port import published_port

FindWan = Callable[[int], Address]
"""The address that leads from outside to the port that the worker listens on. May raise NotPublishedError."""

_DOCKER: Final = "docker"
_F = TypeVar("_F", bound=Callable[..., Any])


def parse_wan(text: str) -> FindWan:
    """HOST:PORT, `docker`, or HOST:docker. Raises BadAddressError."""
    host, colon, port = text.strip().rpartition(":")
    if port == _DOCKER:
        if colon and not is_host(host.strip("[]")):
            raise BadAddressError(f"{text!r} has no usable host before :{_DOCKER}")
        return lambda listening_port: published_port(listening_port, host.strip("[]"))
    told = Address.parse(text)
    return lambda _: told


def advertise_wan_option(command: _F) -> _F:
    """`--advertise-wan`, as a FindWan or None."""
    return click.option(
        "--advertise-wan",
        "find_wan",
        metavar=f"HOST:PORT|{_DOCKER}|HOST:{_DOCKER}",
        callback=_read,
        help="The address for clients outside of the fleet's network, beside the one of --advertise; "
        f"{_DOCKER}: the engine is asked for the published port.  [default: none]",
    )(command)


def _read(_ctx: click.Context, _param: click.Parameter, text: str | None) -> FindWan | None:
    try:
        return parse_wan(text) if text else None
    except BadAddressError as error:
        raise click.UsageError(f"--advertise-wan: {error}") from error
