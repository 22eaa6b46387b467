"""Decide how many workers there should be, by the rules of Kubernetes' HorizontalPodAutoscaler. Decisions
only.

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details

- The number needed is the present number, times the measured value, divided by its target, rounded up: once
  for the busy share and once for the queue. The larger number counts. Within 10 % of the present number
  nothing changes.
- A worker that is starting or can't be read counts as idle when scaling up would be needed, and as busy as
  its target when scaling down would be possible. So missing data never causes a change.
- Scaling down: only if fewer workers were enough for the whole `stabilization_s`, and since the last change.
- Scaling up: at most to twice the number, or by four workers, whichever is more.
- After any change, also by hand, nothing changes for `cooldown_s`, because the measured values are still from
  before. Queues above their target do not wait for the cooldown, but they wait for workers that are starting.
- The number is never below the minimum or above the maximum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from tfleet.deploy.compose.worker_load import WorkerLoad

_TOLERANCE: Final = 0.1
"""The default of --horizontal-pod-autoscaler-tolerance."""
_MAX_ADDED: Final = 4
"""The default policy of `behavior.scaleUp`: this many, or as many as there are, whichever is more."""
_ROUNDING: Final = 1e-9

TARGET_BUSY: Final = 0.7
TARGET_QUEUE: Final = 8.0
"""One batch."""
COOLDOWN_S: Final = 60.0
STABILIZATION_S: Final = 300.0
"""The default of --horizontal-pod-autoscaler-downscale-stabilization."""


@dataclass(frozen=True, slots=True)
class ScalingRules:
    """The settings: limits on the number of workers, targets for the average worker, and times in seconds."""

    least: int
    most: int
    target_busy: float = TARGET_BUSY
    target_queue: float = TARGET_QUEUE
    cooldown_s: float = COOLDOWN_S
    stabilization_s: float = STABILIZATION_S


@dataclass(frozen=True, slots=True)
class ScalingHistory:
    """What a decision needs of earlier ones: the number of workers, when it changed, and how many were
    needed when.
    """

    workers: int | None = None
    changed_s: float = -math.inf
    needed: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ScalingDecision:
    """There are `workers`, of which `unknown` could not be read. `busy` is the average of the others,
    `queue` the sum of their queues. `wanted` is the number of workers from now on, `because` the reason.
    """

    workers: int
    unknown: int
    busy: float | None
    queue: int
    wanted: int
    because: str

    def __str__(self) -> str:
        unknown = f" ({self.unknown} unknown)" if self.unknown else ""
        busy = "" if self.busy is None else f", busy {self.busy:.2f}, {self.queue} waiting"
        return f"workers {self.workers}{unknown}{busy}: {self.wanted} wanted, {self.because}"


def decide(
    rules: ScalingRules, workers: int, loads: Sequence[WorkerLoad], past: ScalingHistory, now_s: float
) -> tuple[ScalingDecision, ScalingHistory]:
    """Make a decision. Returns it with the history for the next one. `now_s` is on a monotonic clock."""
    past = _with_change(past, workers, now_s)
    needed = _needed(rules, workers, loads)
    since_s = now_s - rules.stabilization_s
    past = replace(past, needed=(*(each for each in past.needed if each[0] > since_s), (now_s, needed)))
    wanted, because = _settled(rules, workers, loads, past, now_s)
    busy = round(sum(load.busy for load in loads) / len(loads), 4) if loads else None
    queue = sum(load.queue for load in loads)
    return ScalingDecision(workers, max(0, workers - len(loads)), busy, queue, wanted, because), past


def _with_change(past: ScalingHistory, workers: int, now_s: float) -> ScalingHistory:
    if past.workers == workers:
        return past
    # The first decision of this process is no change: a restarted autoscaler would otherwise start with a
    # cooldown.
    changed_s = past.changed_s if past.workers is None else now_s
    # What was needed before the change was measured with another number of workers.
    return ScalingHistory(workers, changed_s, ((now_s, workers),))


def _needed(rules: ScalingRules, workers: int, loads: Sequence[WorkerLoad]) -> int:
    """The number that the load needs, within the limits; `workers` if that is about right."""
    demand = max(_by_busy(rules, loads), _by_queue(rules, loads))
    unknown = workers - len(loads)
    needed = workers
    # Unknown workers add nothing here: they count as idle.
    if demand > workers * (1 + _TOLERANCE):
        # Without the correction 3.0000000000000004 would become 4.
        needed = math.ceil(demand - _ROUNDING)
    # And here each of them counts as one worker that is exactly as busy as its target.
    elif demand + unknown < workers * (1 - _TOLERANCE):
        needed = math.ceil(demand + unknown - _ROUNDING)
    return min(max(needed, rules.least), rules.most)


def _settled(
    rules: ScalingRules, workers: int, loads: Sequence[WorkerLoad], past: ScalingHistory, now_s: float
) -> tuple[int, str]:
    """The number of workers from now on, and the reason."""
    # The limits hold at once: an operator who changed them should not wait for a cooldown.
    if workers < rules.least:
        return rules.least, f"the minimum is {rules.least}"
    if workers > rules.most:
        return rules.most, f"the maximum is {rules.most}"
    needed = past.needed[-1][1]
    if needed == workers:
        return workers, _enough(rules, workers, loads)
    # Requests that wait get slower by the second. But while a worker is still starting, its help is not
    # counted yet.
    urgent = _by_queue(rules, loads) > workers * (1 + _TOLERANCE) and len(loads) >= workers
    cooldown_left_s = past.changed_s + rules.cooldown_s - now_s
    if cooldown_left_s > 0 and not (needed > workers and urgent):
        return workers, f"{needed} needed, but the cooldown lasts another {cooldown_left_s:.0f} s"
    if needed > workers:
        return min(needed, max(2 * workers, workers + _MAX_ADDED)), _too_few(rules, loads)
    return _fewer(rules, workers, past)


def _fewer(rules: ScalingRules, workers: int, past: ScalingHistory) -> tuple[int, str]:
    """The largest number that was needed during the stabilization time, and the reason."""
    highest = max(count for _, count in past.needed)
    if highest >= workers:
        return workers, f"{past.needed[-1][1]} would be enough, but not yet for {rules.stabilization_s:g} s"
    return highest, f"no more were needed for {rules.stabilization_s:g} s"


def _enough(rules: ScalingRules, workers: int, loads: Sequence[WorkerLoad]) -> str:
    if not loads:
        return "because no worker's metrics could be read"
    if workers == rules.most and max(_by_busy(rules, loads), _by_queue(rules, loads)) > workers:
        return "which is the maximum, and too few"
    return "which fits the load"


def _too_few(rules: ScalingRules, loads: Sequence[WorkerLoad]) -> str:
    if _by_queue(rules, loads) > _by_busy(rules, loads):
        return f"because more than {rules.target_queue:g} requests wait in each worker"
    return f"because workers are busy more than {100 * rules.target_busy:g} % of the time"


def _by_busy(rules: ScalingRules, loads: Sequence[WorkerLoad]) -> float:
    return sum(load.busy for load in loads) / rules.target_busy


def _by_queue(rules: ScalingRules, loads: Sequence[WorkerLoad]) -> float:
    return sum(load.queue for load in loads) / rules.target_queue
