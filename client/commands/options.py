"""The option `--proxy`, the same for every command that asks a proxy, and what to do where none answers.

How a command ends when it is told to stop: no traceback, and the exit code that a shell expects.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import click

from tfleet.client.errors import FleetError, FleetUnavailableError
from tfleet.client.proxies.addresses import DEFAULT_PROXY, BadProxyError, parse_whereabouts
from tfleet.client.text import printable

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

FAILED: Final = 1
INTERRUPTED: Final = 130  # 128 + SIGINT
BROKEN_PIPE: Final = 141  # 128 + SIGPIPE
# What only writing meets, and the commands write nothing but their output.
_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def quiet_end() -> Iterator[None]:
    """End the program with 130 on Ctrl-C, with 141 where nobody reads its output any more (`| head`), and
    with 1 and a line where there is no room for it.
    """
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _drop_output()
        sys.exit(BROKEN_PIPE)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        _drop_output()
        with suppress(OSError):  # standard error may be the same full disk
            print(f"can't write to standard output: {os.strerror(error.errno)}", file=sys.stderr)
        sys.exit(FAILED)


def _drop_output() -> None:
    """What is still buffered would fail again when the interpreter exits, and be complained about."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
