"""Command-line options that several commands share."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar, cast, get_args

import click

from tfleet.contract.address import Address, BadAddressError
from tfleet.contract.cors import BadOriginError, Cors
from tfleet.contract.identifiers import MAX_SERVICE_CHARS, escaped, is_token
from tfleet.contract.names import MAX_BODY_BYTES, REGISTRY_PORT, SERVICE
from tfleet.discovery.consul.access import BadAccessError
from tfleet.discovery.consul.credentials import Credentials
from tfleet.discovery.data_folder import IN_MEMORY, data_folder
from tfleet.discovery.registry import (
    BadRegistryError,
    EmbeddedRegistry,
    Registry,
    StaticRegistry,
    parse_registry,
)
from tfleet.runtime.log import LogLevel

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")

PORT = click.IntRange(0, 65535)


OPTIONS: Final = "options"
"""The key of a field's metadata that names the dataclass of further parameters."""


def take_options(kind: type[_T], values: dict[str, Any], *, prefix: str = "") -> _T:
    """Remove the values of a dataclass's fields from a command's parameters, and return them as that
    dataclass. With the prefix `drain_` the field `grace_s` is the parameter `drain_grace_s`. A field with the
    metadata `options` is a dataclass of further parameters.
    """
    taken: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type] # each kind is a dataclass
        if (nested := field.metadata.get(OPTIONS)) is not None:
            taken[field.name] = take_options(nested, values, prefix=prefix)
        elif prefix + field.name in values:
            taken[field.name] = values.pop(prefix + field.name)
    return kind(**taken)


def options_as(kind: type, parameter: str, *, prefix: str = "") -> Callable[[_F], _F]:
    """Pass a command some of the options above this decorator as one dataclass: see `take_options`.

    So a command with many options has few parameters, and each group of them is a value with a name.
    """

    def decorate(command: _F) -> _F:
        @functools.wraps(command)
        def grouped(*args: Any, **values: Any) -> Any:
            group: Any = take_options(kind, values, prefix=prefix)
            return command(*args, **values, **{parameter: group})

        return cast(_F, grouped)

    return decorate


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """The values of `registry_options`, and of `registry_data_dir_option` in commands that run a registry."""

    registry: str | None
    registry_port: int
    registry_token_file: Path | None
    service: str
    registry_data_dir: str | None = None

    def chosen(self) -> Registry:
        """The registry. Raises click.UsageError: see `chosen_registry`."""
        registry = chosen_registry(self.registry, self.registry_port, self.registry_token_file)
        if isinstance(registry, EmbeddedRegistry):
            # By the port that was asked for: with 0 it is another one each time.
            return replace(registry, data_dir=data_folder(self.registry_data_dir, self.registry_port))
        return registry


def registry_options(command: _F) -> _F:
    """Add `--registry`, `--registry-port`, `--registry-token-file` and `--service`: see `RegistryOptions`."""
    options = (
        click.option(
            "--registry",
            default=None,
            show_default="consul://$CONSUL_HTTP_ADDR where that is set, else embedded",
            help="consul://HOST:8500, consul+https://HOST:8501, embedded (the proxy hosts it), or "
            "static:HOST:PORT,HOST:PORT. CONSUL_HTTP_TOKEN, CONSUL_CACERT and the other variables of "
            "Consul's own tools are used, too.",
        ),
        click.option(
            "--registry-port",
            type=PORT,
            default=REGISTRY_PORT,
            show_default=True,
            help="Port of the embedded registry, on loopback.",
        ),
        registry_token_file_option,
        service_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def registry_token_file_option(command: _F) -> _F:
    """Add `--registry-token-file`: a path or None."""
    return click.option(
        "--registry-token-file",
        type=click.Path(path_type=Path),
        help="File with the registry's token. The embedded registry accepts only requests with this token, "
        "and this process sends it to the registry.  [default: no token; for a Consul, "
        "CONSUL_HTTP_TOKEN_FILE]",
    )(command)


def registry_data_dir_option(command: _F) -> _F:
    """Add `--registry-data-dir`: a text or None, for `data_folder`."""
    return click.option(
        "--registry-data-dir",
        metavar="DIR",
        help="Folder in which the embedded registry saves keys and values, such as the plans of models; "
        f"{IN_MEMORY} saves none, and a restart loses them.  [default: registry-PORT in "
        f"$XDG_STATE_HOME/tfleet or ~/.local/state/tfleet; with port 0 or without a home, {IN_MEMORY}]",
    )(command)


def advertise_option(command: _F) -> _F:
    """Add `--advertise`: an Address or None."""
    return click.option(
        "--advertise",
        metavar="HOST:PORT",
        callback=_address,
        help="Address to register.  [default: the address it listens on]",
    )(command)


def log_format_option(command: _F) -> _F:
    """Add `--log-format`, for `runtime.log.configure`."""
    return click.option(
        "--log-format",
        type=click.Choice(["auto", "console", "json"]),
        default="auto",
        show_default=True,
        help="Format of the log on standard error; auto is console on a terminal, otherwise json.",
    )(command)


def log_level_option(command: _F) -> _F:
    """Add `--log-level`, for `runtime.log.configure`."""
    return click.option(
        "--log-level",
        type=click.Choice(get_args(LogLevel)),
        default="info",
        show_default=True,
        help="Lowest level that is logged; debug also has a line for each probe.",
    )(command)


def cors_origin_option(command: _F) -> _F:
    """Add `--cors-origin`, repeatable, for `Cors.parse`."""
    return click.option(
        "--cors-origin",
        "cors_origins",
        metavar="ORIGIN",
        multiple=True,
        callback=_origins,
        help="Let web pages of this origin (https://app.example) read responses; * means any. Repeatable; in "
        "the variable, separate origins with spaces.  [default: none]",
    )(command)


def admin_port_option(command: _F) -> _F:
    """Add `--admin-port` of a proxy: a port or None."""
    return click.option(
        "--admin-port",
        type=PORT,
        help="Separate port for the operators' pages, /workers and /metrics; --port then does not serve "
        "them.  [default: none, they are on --port]",
    )(command)


def ticket_key_file_option(command: _F) -> _F:
    """Add `--ticket-key-file`, a path or None, for `contract.ticket_keys`."""
    return click.option(
        "--ticket-key-file",
        type=click.Path(path_type=Path),
        help="Make workers accept images and POST /drain only with a ticket that a proxy signed with the key "
        "in this file. A key on a second line is accepted, too.  [default: no tickets]",
    )(command)


def service_option(command: _F) -> _F:
    """Add `--service`."""
    return click.option(
        "--service",
        default=SERVICE,
        show_default=True,
        callback=_service,
        help="Name under which the workers are registered.",
    )(command)


def json_option(what: str) -> Callable[[_F], _F]:
    """Add `--json`, the parameter `as_json`. `what` says what is printed: `one JSON object at the end`."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what}.")


def dry_run_option(what: str) -> Callable[[_F], _F]:
    """Add `--dry-run`. `what` says what happens instead: `Only list stale registrations`."""
    return click.option("--dry-run", is_flag=True, help=f"{what}.")


def wait_options(until: str, timeout_s: float) -> Callable[[_F], _F]:
    """Add `--wait/--no-wait`, and `--wait-timeout`, the parameter `wait_timeout_s`."""

    def decorate(command: _F) -> _F:
        wait = click.option("--wait/--no-wait", default=True, show_default=True, help=f"Wait until {until}.")
        timeout = click.option(
            "--wait-timeout",
            "wait_timeout_s",
            type=click.FloatRange(min=0, min_open=True),
            default=timeout_s,
            show_default=True,
            metavar="SECONDS",
            help="How long to wait at most.",
        )
        return wait(timeout(command))

    return decorate


def max_body_bytes_option(command: _F) -> _F:
    """Add `--max-body-bytes` of proxy and worker."""
    return click.option(
        "--max-body-bytes",
        type=click.IntRange(min=1),
        default=MAX_BODY_BYTES,
        show_default=True,
        help="Largest request body in bytes; a larger one is answered with 413.",
    )(command)


def drain_options(timeout_s: float) -> Callable[[_F], _F]:
    """Add `--drain-grace` and `--drain-timeout` of proxy and worker, for `httpd.drain.DrainTimes`."""

    def decorate(command: _F) -> _F:
        grace = click.option(
            "--drain-grace",
            "drain_grace_s",
            type=click.FloatRange(min=0),
            default=1.0,
            show_default=True,
            help="Seconds after SIGTERM in which new requests are still answered, with `Connection: close`.",
        )
        timeout = click.option(
            "--drain-timeout",
            "drain_timeout_s",
            type=click.FloatRange(min=0),
            default=timeout_s,
            show_default=True,
            help="Seconds after --drain-grace in which requests in flight may finish.",
        )
        return grace(timeout(command))

    return decorate


def _service(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
    """Check the name: ids begin with it, and invalid ids are rejected where listings are read."""
    if is_token(text, most_chars=MAX_SERVICE_CHARS):
        return text
    raise click.UsageError(
        f"--service {escaped(text)!r} is not a valid name: use letters, digits and - . _ ~ : @ + =, "
        f"at most {MAX_SERVICE_CHARS} characters"
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
    """Return the registry of `--registry`, its port and token file, and the variables of Consul's own tools.

    The files that these name are read as a check. Raises click.UsageError (exit code 2).
    """
    try:
        registry = parse_registry(text, os.environ, port=port, token_file=token_file)
        if not isinstance(registry, StaticRegistry):
            Credentials(registry.access).check()
        return registry
    except (BadRegistryError, BadAccessError) as error:
        raise click.UsageError(str(error)) from error
