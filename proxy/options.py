"""Options of a proxy that `tfleet proxy` and `tfleet up` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from tfleet.proxy.settings import MODES

_F = TypeVar("_F", bound=Callable[..., Any])


def listeners_option(command: _F) -> _F:
    """Add `--listeners`: the number of processes."""
    return click.option(
        "--listeners",
        type=click.IntRange(min=1),
        default=1,
        help="Processes that listen on the proxy's port, to use as many CPUs. The limits are divided among "
        "them.",
    )(command)


def mode_option(command: _F) -> _F:
    """Add `--mode`: see `proxy.settings.Mode`."""
    return click.option(
        "--mode",
        type=click.Choice(MODES),
        default="forward",
        help="forward: requests go through the proxy. p2p: the proxy names a worker, and clients connect to "
        "it.",
    )(command)
