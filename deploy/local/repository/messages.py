"""The lines of `tfleet up --models` on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tfleet.deploy.local.repository.values import Release


def start_message(source: Path, proxy: str, registry: str) -> str:
    """The first line: what will be served."""
    return (
        f"the models in {source}, watched, behind a proxy on {proxy}, registry {registry}; "
        "Ctrl-C stops it all"
    )


def nothing_yet(source: Path) -> str:
    """There is nothing to serve yet."""
    return f"{source} has no complete version of a model yet: put one into {source / 'NAME' / '1'}/"


def unmounted(source: Path) -> str:
    """The repository is an empty folder all of a sudden."""
    found = f"{source} is empty, and another folder than before (is it unmounted?)"
    return f"{found}: nothing changes until it is back"


def starting(release: Release, workers: int) -> str:
    """Workers are started."""
    return f"{release} is complete: starting {_workers(workers)}"


def ready(release: Release, workers: int) -> str:
    """All workers of a release are ready."""
    return f"{release} is ready: {_workers(workers)}"


def not_in_plan(release: Release) -> str:
    """A release is ready, and its model's plan gives it no requests."""
    model = release.model
    return (
        f"{release} gets no requests yet that name no version: {model} has a plan, which names other versions"
    )


def unusable(release: Release, reason: str, serving: Sequence[Release]) -> str:
    """A release can't be used; `serving` are the other ones of its model that run."""
    others = f"{', '.join(map(str, serving))} serves on; " if serving else ""
    return f"{release} can't be used: {reason}; {others}it is tried again when its files change"


def worker_lost(release: Release, reason: str, left: int) -> str:
    """A worker of a release that serves can't be started again."""
    return f"{release}: a worker can't be started again, {_workers(left)} left: {reason}"


def draining(release: Release, successor: Release | None, *, unusable: bool) -> str:
    """A release drains, and why."""
    if unusable:
        return f"{release} stops: it can't be used"
    if successor is None:
        return f"{release} drains: its folder has gone"
    others = "its new files have" if successor.version == release.version else f"{successor} has"
    return f"{release} drains: {others} taken over"


def waiting_for_plans(release: Release) -> str:
    """A release would drain, but a plan that is not known yet may name it."""
    return f"{release} stays: its model's plan has not been read from the registry yet"


def _workers(number: int) -> str:
    return "1 worker" if number == 1 else f"{number} workers"
