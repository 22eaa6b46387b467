"""Why a run ends early. What is wrong with one row is no error here: it stands in the row's `_error`."""

from __future__ import annotations


class CannotScoreError(Exception):
    """This run can never work as it was asked for: exit code 2. The message is one line."""


class RunFailedError(Exception):
    """The run has broken off, and `--resume` may finish it: exit code 1. The message is one line."""


class InputChangedError(RunFailedError):
    """A file of the input has changed during the run: exit code 1. The message is one line."""


class BrokenInputError(RunFailedError):
    """The run has broken off at a place that no run can read: exit code 1. The message is one line."""
