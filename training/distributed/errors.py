"""Why `tfleet train` ends without a model."""

from __future__ import annotations

import signal


class CannotTrainError(Exception):
    """This run can never work as it was asked for: exit code 2. The message is one line."""


class TrainingFailedError(Exception):
    """A process or a machine has failed: exit code 1. The message may have the process's last lines."""


class StoppedError(Exception):
    """A signal has ended the run."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(f"stopped by {number.name}")
        self.number = number


class DisagreementError(Exception):
    """The processes of a run do not do the same: what they compute together would mean nothing."""
