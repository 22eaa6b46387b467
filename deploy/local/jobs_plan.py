"""The Redis of a fleet on this machine: one that is named, or one of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import click

from tfleet.deploy.errors import CommandRefusedError
from tfleet.discovery.data_folder import data_folder
from tfleet.jobs.connect import require_redis_library
from tfleet.jobs.errors import BadJobsOptionError, NoRedisLibraryError
from tfleet.jobs.redis_url import read_redis_urls
from tfleet.runtime.child_process import ChildSpec

OWN_REDIS: Final = "own"
"""What `--jobs` says without an address."""
_PROGRAMS: Final = ("redis-server", "valkey-server")
_PREFIX: Final = "tfleet-jobs-"
_SOCKET: Final = "redis.sock"
_PRIVATE: Final = 0o700
# The whole path of a unix socket has at most 108 bytes on Linux, and 104 on macOS, with a zero at its end.
_MAX_PATH_BYTES: Final = 103

up_jobs_option: Final = click.option(
    "--jobs",
    is_flag=False,
    flag_value=OWN_REDIS,
    metavar="[URL[,URL...]]",
    help="Keep jobs (POST /jobs, and ?queue=1) in these Redis; without an address in one that is started for "
    "them.",
)


@dataclass(frozen=True, slots=True)
class JobsPlan:
    """Where jobs are kept: `url` as for `--jobs`. `server` is the process of this fleet's own Redis, and
    listens at the unix socket `socket`.
    """

    url: str
    server: ChildSpec | None = None
    socket: Path | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """For proxy and workers."""
        return ("--jobs", self.url)


def jobs_plan(asked: str | None, proxy_port: int) -> JobsPlan | None:
    """The plan for what `--jobs` says; None without the option. The folder of an own Redis is that of the
    proxy's port. Raises CommandRefusedError and click.UsageError.
    """
    if not asked:
        return None
    try:
        require_redis_library()
        if asked != OWN_REDIS:
            read_redis_urls(asked)
            return JobsPlan(asked)
    except (BadJobsOptionError, NoRedisLibraryError) as error:
        raise click.UsageError(f"--jobs: {error}") from error
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        raise CommandRefusedError(
            "--jobs: redis-server is not on the PATH: install it (apt-get install redis-server), or name a "
            "Redis that runs: --jobs redis://HOST"
        )
    folder = _folder(proxy_port)
    path = _socket(folder)
    return JobsPlan(f"unix://{quote(str(path))}", _redis_spec(program, path, folder), path)


def _redis_spec(program: str, path: Path, folder: Path) -> ChildSpec:
    return ChildSpec(
        "redis",
        (
            # No port: other users of this machine could read and change all jobs there.
            *(program, "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"),
            *("--dir", str(folder), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            *("--maxmemory-policy", "noeviction", "--loglevel", "warning"),
        ),
    )


def _folder(port: int) -> Path:
    """Where its jobs are saved, for this user only: a fleet that is started again at this port finds them.
    Raises CommandRefusedError.
    """
    registry = data_folder(None, port)
    if registry is None:
        return Path(tempfile.mkdtemp(prefix=_PREFIX))
    folder = registry.with_name(f"jobs-{port}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(_PRIVATE)
    except OSError as error:
        raise CommandRefusedError(f"--jobs: the folder {folder} can't be used: {error.strerror}") from error
    return folder


def _socket(folder: Path) -> Path:
    """The path of its socket: in its folder, or in a private one where that has too long a path."""
    path = folder / _SOCKET
    if len(os.fsencode(path)) <= _MAX_PATH_BYTES:
        return path
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp")) / _SOCKET
