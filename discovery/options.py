"""Options that several commands share, so that they mean the same everywhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from tfleet.contract.address import Address, BadAddressError
from tfleet.contract.cors import BadOriginError, Cors
from tfleet.contract.identifiers import MAX_SERVICE_CHARS, escaped, is_token
from tfleet.contract.names import REGISTRY_PORT, SERVICE
from tfleet.discovery.consul.access import BadAccessError
from tfleet.discovery.consul.credentials import Credentials
from tfleet.discovery.registry import BadRegistryError, Registry, StaticRegistry, parse_registry
from tfleet.runtime.log import LogLevel

_F = TypeVar("_F", bound=Callable[..., Any])

PORT = click.IntRange(0, 65535)


def registry_options(command: _F) -> _F:
    """`--registry`, `--registry-port`, `--registry-token-file` and `--service`; read the first three with
    `chosen_registry`.
    """
    options = (
        click.option(
            "--registry",
            default=None,
            show_default="consul://$CONSUL_HTTP_ADDR where that is set, else embedded",
            help="consul://HOST:8500, consul+https://HOST:8501, embedded (the proxy hosts it), or "
            "static:HOST:PORT,HOST:PORT. CONSUL_HTTP_TOKEN, CONSUL_CACERT and so on mean what they mean for "
            "Consul's own tools.",
        ),
        click.option(
            "--registry-port",
            type=PORT,
            default=REGISTRY_PORT,
            show_default=True,
            help="Where the embedded registry listens, on loopback.",
        ),
        registry_token_file_option,
        click.option(
            "--service",
            default=SERVICE,
            show_default=True,
            callback=_service,
            help="The workers' name in the registry.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def registry_token_file_option(command: _F) -> _F:
    """`--registry-token-file`, a path or None."""
    return click.option(
        "--registry-token-file",
        type=click.Path(path_type=Path),
        help="The embedded registry takes only who shows the token in this file; it is shown to whatever "
        "--registry names, too.  [default: no token; to a Consul that of CONSUL_HTTP_TOKEN_FILE]",
    )(command)


def advertise_option(command: _F) -> _F:
    """`--advertise`, as an Address or None."""
    return click.option(
        "--advertise",
        metavar="HOST:PORT",
        callback=_address,
        help="The address to register.  [default: the one listened on]",
    )(command)


def log_format_option(command: _F) -> _F:
    """`--log-format`, for `discovery.log.configure`."""
    return click.option(
        "--log-format",
        type=click.Choice(["auto", "console", "json"]),
        default="auto",
        show_default=True,
        help="Of the lines on standard error; auto is console on a terminal, else json.",
    )(command)


def log_level_option(command: _F) -> _F:
    """`--log-level`, for `discovery.log.configure`."""
    return click.option(
        "--log-level",
        type=click.Choice(get_args(LogLevel)),
        default="info",
        show_default=True,
        help="The least that is logged; debug has a line for each probe, too.",
    )(command)


def cors_origin_option(command: _F) -> _F:
    """`--cors-origin`, once or more often: origins that `Cors.parse` takes."""
    return click.option(
        "--cors-origin",
        "cors_origins",
        metavar="ORIGIN",
        multiple=True,
        callback=_origins,
        help="Web pages of this origin (https://app.example) may read all answers; * is any. It may be there "
        "several times; the variable has spaces in between.  [default: none]",
    )(command)


def admin_port_option(command: _F) -> _F:
    """`--admin-port` of a proxy, or None."""
    return click.option(
        "--admin-port",
        type=PORT,
        help="Port of its own for the operators' pages, /workers and /metrics, which --port then does not "
        "serve.  [default: none, they are on --port]",
    )(command)


def ticket_key_file_option(command: _F) -> _F:
    """`--ticket-key-file`, a path or None, for `discovery.key_file`."""
    return click.option(
        "--ticket-key-file",
        type=click.Path(path_type=Path),
        help="Workers take images and POST /drain only with a ticket that a proxy has signed with the key in "
        "this file; a key in a second line is believed, too.  [default: no tickets]",
    )(command)


def _service(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
    """A name that ids may begin with: others are refused where they are read."""
    if is_token(text, most_chars=MAX_SERVICE_CHARS):
        return text
    raise click.UsageError(
        f"--service {escaped(text)!r} can't be a name: take letters, digits and - . _ ~ : @ + =, "
        f"{MAX_SERVICE_CHARS} at most"
    )


def _origins(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    try:
        Cors.parse(texts)
    except BadOriginError as error:
        raise click.UsageError(f"--cors-origin: {error}") from error
    return texts


def _address(_ctx: click.Context, _param: click.Parameter, text: str | None) -> Address | None:
    try:
        return None if text is None else Address.parse(text)
    except BadAddressError as error:
        raise click.UsageError(f"--advertise: {error}") from error


def chosen_registry(text: str | None, port: int, token_file: Path | None = None) -> Registry:
    """What `--registry`, its port and token file, and the variables of Consul's own tools say,
    once the files that they name can be used. Raises click.UsageError (exit code 2).
    """
    try:
        registry = parse_registry(text, os.environ, port=port, token_file=token_file)
        if not isinstance(registry, StaticRegistry):
            Credentials(registry.access).check()
        return registry
    except (BadRegistryError, BadAccessError) as error:
        raise click.UsageError(str(error)) from error
