"""Whether a Redis is fit to hold jobs: its version, and what it loses when it stops or is full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tfleet.jobs.errors import UnsuitableRedisError

_OLDEST: Final = (7, 0)


def read_info(text: bytes) -> dict[str, str]:
    """The fields of an answer to INFO."""
    pairs = (line.partition(":") for line in text.decode("utf-8", "replace").splitlines())
    return {name: value.strip() for name, colon, value in pairs if colon}


def check_redis(info: Mapping[str, str], shown: str) -> None:
    """Raise UnsuitableRedisError for one that is too old, or a replica. Valkey names the Redis that it is
    like.
    """
    version = info.get("redis_version", "")
    if _number(version) < _OLDEST:
        raise UnsuitableRedisError(f"{shown} is Redis {version or '(unknown)'}: jobs need 7.0 or later")
    if info.get("role") == "slave":
        raise UnsuitableRedisError(f"{shown} is a read-only replica: name its primary")


def risks(info: Mapping[str, str]) -> list[str]:
    """How this Redis may lose jobs that it has accepted: one line each, with what to set."""
    found = []
    if info.get("aof_enabled") != "1":
        found.append("jobs are lost when Redis stops: set appendonly yes")
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory", "0") != "0" and policy != "noeviction":
        found.append(f"Redis removes keys when it is full ({policy}): set maxmemory-policy noeviction")
    if info.get("cluster_enabled") == "1":
        found.append("this is a node of a cluster: name the node that has the slot of the service's keys")
    return found


def _number(version: str) -> tuple[int, ...]:
    parts = version.split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()
