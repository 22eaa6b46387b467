"""A command that cannot be carried out as asked."""

from __future__ import annotations

from typing import Final

import click

UNUSABLE: Final = 2
"""The exit code of every tfleet program that was asked for something it can never do."""


class RefusedError(click.ClickException):
    """Ends the program with one line on standard error and exit code 2, without the usage text."""

    exit_code = UNUSABLE
