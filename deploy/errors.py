"""A command that cannot be carried out as asked."""

from __future__ import annotations

import click

from tfleet.runtime.child_process import UNUSABLE


class CommandRefusedError(click.ClickException):
    """Ends the program with one line on standard error and exit code 2, without the usage text."""

    exit_code = UNUSABLE
