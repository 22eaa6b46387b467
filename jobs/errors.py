"""What can go wrong with a job queue, named for what the caller will do about it."""

from __future__ import annotations


class JobsUnavailableError(Exception):
    """A Redis can't be reached, or refuses the command: the same may work later. One line says why."""


class RedisFullError(JobsUnavailableError):
    """A Redis has no memory left for what it was to store."""


class NoGroupError(JobsUnavailableError):
    """The stream, or its group of workers, is not there any more."""


class NoRedisLibraryError(Exception):
    """The `redis` package is not installed."""

    def __init__(self) -> None:
        super().__init__("jobs need the package redis: pip install 'tfleet[jobs]'")


class UnsuitableRedisError(Exception):
    """This Redis can't hold jobs, and waiting won't change that. One line says why."""


class BadJobsOptionError(ValueError):
    """A value of `--jobs` that can't be used. One line says why."""


class QueueFullError(Exception):
    """There is no room for another job, in any shard that answers. Its text says what the limit is."""


class KeyReusedError(Exception):
    """The Idempotency-Key stands for another request."""


class UnknownJobError(Exception):
    """No such id was ever given out."""


class ForgottenJobError(Exception):
    """The id was given out, and its job is no longer known."""
