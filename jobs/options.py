"""The options of jobs, for all commands that have them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from tfleet.contract.names import MAX_BODY_BYTES
from tfleet.jobs.connect import require_redis_library
from tfleet.jobs.errors import BadJobsOptionError, NoRedisLibraryError
from tfleet.jobs.job import OVERHEAD_BYTES, JobLimits, JobTimes
from tfleet.jobs.redis_url import RedisUrl, read_redis_urls

_F = TypeVar("_F", bound=Callable[..., Any])

DEFAULT_MAX_JOBS: Final = 10_000
DEFAULT_MAX_JOBS_BYTES: Final = 8 * MAX_BODY_BYTES
DEFAULT_TIMEOUT_S: Final = 3600.0
DEFAULT_RESULT_TTL_S: Final = 3600.0
DEFAULT_VISIBILITY_S: Final = 30.0


def _read_urls(_ctx: click.Context, _param: click.Parameter, text: str | None) -> tuple[RedisUrl, ...]:
    """The addresses; none without the option."""
    if not text:
        return ()
    try:
        urls = read_redis_urls(text)
        require_redis_library()
    except (BadJobsOptionError, NoRedisLibraryError) as error:
        raise click.UsageError(f"--jobs: {error}") from error
    return urls


def jobs_option(help_text: str, *, required: bool = False) -> Callable[[_F], _F]:
    """`--jobs`, as the parameter `jobs`: a tuple of RedisUrl."""
    return click.option(
        "--jobs",
        metavar="URL[,URL...]",
        callback=_read_urls,
        required=required,
        help=f"{help_text} Several are shards, each with its own jobs.",
    )


visibility_option: Final = click.option(
    "--job-visibility",
    "job_visibility_s",
    type=click.FloatRange(min=0.1, max=3600),
    default=DEFAULT_VISIBILITY_S,
    help="Seconds without a word from a worker after which another one takes its jobs.",
)


@dataclass(frozen=True, slots=True)
class JobOptions:
    """The values of `jobs_option` and `job_limit_options`."""

    jobs: tuple[RedisUrl, ...]
    max_jobs: int
    max_jobs_bytes: int
    job_timeout_s: float
    job_result_ttl_s: float
    job_callback_allow: tuple[str, ...] = ()
    job_callback_key_file: Path | None = None

    @property
    def limits(self) -> JobLimits:
        return JobLimits(self.max_jobs, self.max_jobs_bytes)

    @property
    def times(self) -> JobTimes:
        return JobTimes(int(self.job_timeout_s * 1000), int(self.job_result_ttl_s * 1000))

    def check_body(self, max_body_bytes: int) -> None:
        """Raise click.UsageError where a body that is accepted would never have room."""
        if max_body_bytes + OVERHEAD_BYTES > self.max_jobs_bytes:
            raise click.UsageError(
                f"--max-jobs-bytes {self.max_jobs_bytes} has no room for a body of --max-body-bytes "
                f"{max_body_bytes}: raise the one, or lower the other"
            )


def job_limit_options(command: _F) -> _F:
    """How many jobs a Redis may hold, and for how long. See `JobOptions`."""
    for option in reversed(
        (
            click.option(
                "--max-jobs",
                type=click.IntRange(min=1),
                default=DEFAULT_MAX_JOBS,
                help="Jobs without an answer in one Redis; more are answered with 429.",
            ),
            click.option(
                "--max-jobs-bytes",
                type=click.IntRange(min=1),
                default=DEFAULT_MAX_JOBS_BYTES,
                help="Total bytes of the bodies and answers in one Redis; more are answered with 429.",
            ),
            click.option(
                "--job-timeout",
                "job_timeout_s",
                type=click.FloatRange(min=0.001, max=7 * 24 * 3600),
                default=DEFAULT_TIMEOUT_S,
                help="Seconds until a job without X-Request-Timeout-Ms expires.",
            ),
            click.option(
                "--job-result-ttl",
                "job_result_ttl_s",
                type=click.FloatRange(min=1, max=7 * 24 * 3600),
                default=DEFAULT_RESULT_TTL_S,
                help="Seconds for which the answer of a job is kept; after that it is 410.",
            ),
            click.option(
                "--job-callback-allow",
                multiple=True,
                metavar="URL",
                help="What an X-Callback-Url may begin with, as https://hooks.example.com/jobs/; may be "
                "repeated.  [default: no callbacks]",
            ),
            click.option(
                "--job-callback-key-file",
                type=click.Path(path_type=Path),
                help="File with the key that signs callbacks, in the form of a ticket key file.",
            ),
        )
    ):
        command = option(command)
    return command
