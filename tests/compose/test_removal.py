"""The last of these tests: what it waits for began in test_changes.py."""

import time

from tests.compose.killed_worker import KilledWorker
from tests.support.compose_project import Project
from tests.support.waiting import eventually_sync

_REMOVED_S = 150.0
"""Consul's TTL of 10 s, its minute, and the half minute in which it looks for those that are over it; and as
much again for a busy machine."""


def test_a_killed_worker_is_out_of_consul_in_about_a_minute(
    small_fleet: Project, killed_worker: KilledWorker
) -> None:
    left_s = killed_worker.killed_s + _REMOVED_S - time.monotonic()
    eventually_sync(
        small_fleet.listed,
        wanted=lambda found: "nobody answers" not in found and killed_worker.id not in found,
        timeout_s=max(left_s, 5.0),
    )
