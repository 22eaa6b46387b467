"""The proxy's settings: modes, balancing policies and the limits of requests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from tfleet.contract.address import Address
from tfleet.contract.cors import Cors
from tfleet.contract.ticket_keys import KeyFile
from tfleet.discovery.registry import Registry
from tfleet.httpd.admission import ConnectionLimits
from tfleet.httpd.drain import DrainTimes
from tfleet.jobs.job import JobLimits, JobTimes
from tfleet.jobs.redis_url import RedisUrl

Mode = Literal["forward", "p2p"]
MODES: Final = ("forward", "p2p")

Balance = Literal["round-robin", "least-request"]
BALANCES: Final = ("round-robin", "least-request")

SLOW_START_S: Final = 5.0
"""The default of `--slow-start`."""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Limits of one request, and of all requests together.

    `timeout_s` is for a whole request. `try_timeout_s` is how long a worker may make no progress, and
    `client_timeout_s` a client. `replay_bytes` and `replay_total_bytes` limit the bodies kept for retries.
    `retry_share` (0 to 1) and `retry_floor_per_s` are the retry budget.
    """

    max_body_bytes: int
    timeout_s: float
    try_timeout_s: float
    client_timeout_s: float
    replay_bytes: int
    replay_total_bytes: int
    retry_share: float
    retry_floor_per_s: float


@dataclass(frozen=True, slots=True)
class ModeSettings:
    """How requests for workers are answered. In p2p mode those below `/v1` and `/v2` are forwarded all the
    same, as their clients follow no redirects, unless `redirect_all`.
    """

    mode: Mode
    redirect_all: bool = False

    @property
    def is_p2p(self) -> bool:
        """Whether clients connect to workers."""
        return self.mode == "p2p"

    @property
    def forwards_inference(self) -> bool:
        """Whether requests below `/v1` and `/v2` are forwarded."""
        return not self.is_p2p or not self.redirect_all


@dataclass(frozen=True, slots=True)
class ListenSettings:
    """Where the proxy listens; addresses may have port 0, any free one. With an `admin` address the pages for
    operators are there only. `cors` is for clients that are web pages.
    """

    address: Address
    admin: Address | None
    limits: ConnectionLimits
    cors: Cors


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """The registry, the service that its workers are instances of, and the address that the proxy itself
    registers.
    """

    registry: Registry
    service: str
    advertise: Address | None


@dataclass(frozen=True, slots=True)
class BalancingSettings:
    """The load-balancing policy and its slow start."""

    balance: Balance
    slow_start_s: float


@dataclass(frozen=True, slots=True)
class JobSettings:
    """The Redis that keep jobs, the limits of each, and the times of a job that names none.

    `callbacks` are the URLs that a callback may begin with, and `callback_key_file` has the keys that
    sign what is sent there. `most_waiting` callers may wait at one listener.
    """

    redis: tuple[RedisUrl, ...]
    limits: JobLimits
    times: JobTimes
    callbacks: tuple[str, ...] = ()
    callback_key_file: Path | None = None
    most_waiting: int = 1000


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """All that `tfleet proxy` is told. Without `ticket_keys` there are no tickets, without `jobs` no jobs."""

    serving: ModeSettings
    listen: ListenSettings
    discovery: DiscoverySettings
    balancing: BalancingSettings
    limits: RequestLimits
    ticket_keys: KeyFile | None
    drain: DrainTimes
    jobs: JobSettings | None = None

    @property
    def cors(self) -> Cors:
        """The origins of web pages that may ask."""
        return self.listen.cors


def settings_of_listener(settings: ProxySettings, number: int, count: int, address: Address) -> ProxySettings:
    """Return the settings of listener `number`, from 1 to `count`; all of them share `address`.

    Limits for all clients together are divided by `count`, so that all listeners together keep them.
    """
    limits, clients = settings.limits, settings.listen.limits
    return replace(
        settings,
        listen=replace(
            settings.listen,
            address=address,
            limits=replace(clients, max_connections=_part(clients.max_connections, number, count)),
        ),
        limits=replace(
            limits,
            replay_total_bytes=_part(limits.replay_total_bytes, number, count),
            retry_floor_per_s=limits.retry_floor_per_s / count,
        ),
    )


def _part(total: int, number: int, count: int) -> int:
    return total // count + (number <= total % count)
