"""The Redis of a fleet on this machine: one that is named, or one of its own."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from tfleet.contract.address import Address
from tfleet.deploy.errors import CommandRefusedError
from tfleet.deploy.local.ports import LOOPBACK, free_ports
from tfleet.discovery.data_folder import data_folder
from tfleet.jobs.connect import require_redis_library
from tfleet.jobs.errors import BadJobsOptionError, NoRedisLibraryError
from tfleet.jobs.redis_url import read_redis_urls
from tfleet.runtime.child_process import ChildSpec

OWN_REDIS: Final = "own"
"""What `--jobs` says without an address."""
_PROGRAMS: Final = ("redis-server", "valkey-server")

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
    listens at `address`.
    """

    url: str
    server: ChildSpec | None = None
    address: Address | None = None

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
    address = Address(LOOPBACK, free_ports({"--jobs": 0})["--jobs"])
    return JobsPlan(f"redis://{address}", _redis_spec(program, address, _folder(proxy_port)), address)


def _redis_spec(program: str, address: Address, folder: Path) -> ChildSpec:
    return ChildSpec(
        "redis",
        (
            *(program, "--bind", address.host, "--port", str(address.port), "--dir", str(folder)),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            *("--maxmemory-policy", "noeviction", "--loglevel", "warning"),
        ),
    )


def _folder(port: int) -> Path:
    """Where its jobs are saved: a fleet that is started again at this port finds them."""
    registry = data_folder(None, port)
    if registry is None:
        return Path(tempfile.mkdtemp(prefix="tfleet-jobs-"))
    folder = registry.with_name(f"jobs-{port}")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
