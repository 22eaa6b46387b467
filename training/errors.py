"""Why a run ends early. What is wrong with one photograph is no error here: it is passed over."""

from __future__ import annotations


class CannotRetrainError(Exception):
    """This run can never work as it was asked for: exit code 2. The message is one line."""


class RetrainFailedError(Exception):
    """The run has broken off: exit code 1. Its vectors stay in the cache. The message is one line."""
