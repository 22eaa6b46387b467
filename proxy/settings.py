"""What requests may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What one request may take, and what all of them may take together.

    `timeout_s` is for the whole request, `try_timeout_s` for a worker that makes no progress, and
    `client_timeout_s` for a client that makes none.
    """

    max_body_bytes: int
    timeout_s: float
    try_timeout_s: float
    client_timeout_s: float
    replay_bytes: int
    replay_total_bytes: int
    retry_share: float
    retry_floor_per_s: float
