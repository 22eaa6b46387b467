"""The error of a command that cannot be carried out."""

from __future__ import annotations

import click

from tfleet.runtime.child_process import UNUSABLE


class CommandRefusedError(click.ClickException):
    """The program exits with one line on standard error and exit code 2, without the usage text."""

    exit_code = UNUSABLE
