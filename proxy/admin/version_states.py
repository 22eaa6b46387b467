"""The state of each version of a fleet, in TensorFlow Serving's words. Pure.

- A version has the best state that anybody says of it: one worker that is ready makes it AVAILABLE.
- A version that `tfleet up --models` is starting is LOADING, also before its first worker has registered.
- A version that can't be used, or whose workers do not answer, is at its END. So is one whose last worker has
  left, for the minute in which requests for it are a 503.
- A version that a plan names, and nobody else, is at its START: it is expected to come.
- A worker of a static list does not say which model it has, so there is nothing to say about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tfleet.discovery.plan import labels_of
from tfleet.discovery.plan_watch import Plans
from tfleet.discovery.version_order import version_rank
from tfleet.proxy.admin.workers import WorkerRow
from tfleet.proxy.balancing.member import WorkerState
from tfleet.proxy.balancing.versions import ModelVersion, loading_versions


class ServingState(StrEnum):
    """The states, best first."""

    AVAILABLE = "AVAILABLE"
    LOADING = "LOADING"
    UNLOADING = "UNLOADING"
    END = "END"
    START = "START"


_BEST_FIRST: Final = tuple(ServingState)
_SILENT: Final = "its workers do not answer: see GET /workers"
_GONE: Final = "its last worker has left"
_UNUSABLE: Final = "it can't be used: `tfleet models` says why"
"""The reason itself may name paths on the machine of the workers, and this is for everybody."""
_OF_WORKERS: Final = {
    WorkerState.READY: ServingState.AVAILABLE,
    WorkerState.STARTING: ServingState.LOADING,
    WorkerState.DRAINING: ServingState.UNLOADING,
    WorkerState.EJECTED: ServingState.END,
}


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One version: its state and, where it is at its end, the reason and TensorFlow's name of the error."""

    model: str
    version: str
    state: ServingState
    error_code: str = "OK"
    reason: str = ""


def version_statuses(
    rows: Sequence[WorkerRow], plans: Plans, now_s: float, left: Iterable[ModelVersion] = ()
) -> tuple[VersionStatus, ...]:
    """All versions that workers have, that plans name, that are loading or can't be used at `now_s` (Unix
    seconds). `left` are those of which a worker has left a moment ago.

    They are in order of their models, the highest version first.
    """
    found: dict[ModelVersion, VersionStatus] = {}
    gone = [VersionStatus(*version, ServingState.END, reason=_GONE) for version in left if version.model]
    said = [*_served(rows), *_loading(plans, now_s), *_refused(plans, now_s), *gone, *_planned(plans)]
    for status in sorted(said, key=lambda status: _BEST_FIRST.index(status.state)):
        found.setdefault(ModelVersion(status.model, status.version), status)
    highest_first = sorted(found.values(), key=lambda status: version_rank(status.version), reverse=True)
    return tuple(sorted(highest_first, key=lambda status: status.model))


def _served(rows: Sequence[WorkerRow]) -> Iterator[VersionStatus]:
    for row in rows:
        model, version, state = row.instance.model, row.instance.version, _OF_WORKERS[row.state]
        if not model:
            continue
        if state is ServingState.END:
            yield VersionStatus(model, version, state, "UNAVAILABLE", _SILENT)
        else:
            yield VersionStatus(model, version, state)


def _loading(plans: Plans, now_s: float) -> Iterator[VersionStatus]:
    for model, version in loading_versions(plans.loading, now_s):
        yield VersionStatus(model, version, ServingState.LOADING)


def _refused(plans: Plans, now_s: float) -> Iterator[VersionStatus]:
    for each in plans.refused:
        if not each.is_stale(now_s):
            yield VersionStatus(each.model, each.version, ServingState.END, "FAILED_PRECONDITION", _UNUSABLE)


def _planned(plans: Plans) -> Iterator[VersionStatus]:
    for model, plan in plans.models.items():
        for version in dict.fromkeys(labels_of(plan).values()):
            yield VersionStatus(model, version, ServingState.START, reason="no worker has it yet")
