"""How many workers there should be: the rules of Kubernetes' HorizontalPodAutoscaler. Pure.

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details

- What is needed is the present number times what is measured by its target, rounded up: once for the busy
  share, once for the requests that wait. The larger one counts. Within a tenth of the present number nothing
  is done.
- Who can't be read, or is still starting, is neither idle nor busy: it is taken for having nothing to do
  where more would be needed, and for having as much as it should where fewer would do.
- There are fewer only when fewer were enough for the whole `stabilization_s`, and since the last change.
- There are at most twice as many, or four more, at once.
- After a change, whoever made it, nothing is done for `cooldown_s`: what is measured is still of the time
  before. Queues that are too long don't wait for that, but they do for those that are starting.
- Below the least and above the most is nobody, whatever is measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from tfleet.deploy.compose.load import WorkerLoad

_TOLERANCE: Final = 0.1
"""As --horizontal-pod-autoscaler-tolerance has it."""
_MOST_ADDED: Final = 4
"""Or as many as there are, whichever is more: the default policy of `behavior.scaleUp`."""
_ROUNDING: Final = 1e-9

TARGET_BUSY: Final = 0.7
TARGET_QUEUE: Final = 8.0
"""A batch."""
COOLDOWN_S: Final = 60.0
STABILIZATION_S: Final = 300.0
"""As --horizontal-pod-autoscaler-downscale-stabilization has it."""


@dataclass(frozen=True, slots=True)
class ScalingRules:
    """What the command line says. The targets are for each worker, on average."""

    least: int
    most: int
    target_busy: float = TARGET_BUSY
    target_queue: float = TARGET_QUEUE
    cooldown_s: float = COOLDOWN_S
    stabilization_s: float = STABILIZATION_S


@dataclass(frozen=True, slots=True)
class ScalingHistory:
    """What a decision has to know of those before it: how many there were, since when, and how many were
    needed at which times.
    """

    workers: int | None = None
    changed_s: float = -math.inf
    needed: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ScalingDecision:
    """`workers` there are, of whom `unknown` could not be read; `busy` is the average of the others, `queue`
    what waits in them together; `wanted` is how many there should be from now on, and `because` says why.
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
    """The decision, and the past of the next one. `now_s` is on a clock that never goes back."""
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
    changed_s = past.changed_s if past.workers is None else now_s
    return ScalingHistory(workers, changed_s, ((now_s, workers),))


def _needed(rules: ScalingRules, workers: int, loads: Sequence[WorkerLoad]) -> int:
    """As many as the load asks for, within the limits; `workers` where that is about right."""
    demand = max(_by_busy(rules, loads), _by_queue(rules, loads))
    unknown = workers - len(loads)
    needed = workers
    if demand > workers * (1 + _TOLERANCE):
        needed = math.ceil(demand - _ROUNDING)
    elif demand + unknown < workers * (1 - _TOLERANCE):
        needed = math.ceil(demand + unknown - _ROUNDING)
    return min(max(needed, rules.least), rules.most)


def _settled(
    rules: ScalingRules, workers: int, loads: Sequence[WorkerLoad], past: ScalingHistory, now_s: float
) -> tuple[int, str]:
    """How many, and why."""
    if workers < rules.least:
        return rules.least, f"the least is {rules.least}"
    if workers > rules.most:
        return rules.most, f"the most is {rules.most}"
    needed = past.needed[-1][1]
    if needed == workers:
        return workers, _enough(rules, workers, loads)
    queues_hurry = _by_queue(rules, loads) > workers * (1 + _TOLERANCE) and len(loads) >= workers
    resting_s = past.changed_s + rules.cooldown_s - now_s
    if resting_s > 0 and not (needed > workers and queues_hurry):
        return workers, f"{needed} needed, but the last change is too fresh for another {resting_s:.0f} s"
    if needed > workers:
        return min(needed, max(2 * workers, workers + _MOST_ADDED)), _too_few(rules, loads)
    return _fewer(rules, workers, past)


def _fewer(rules: ScalingRules, workers: int, past: ScalingHistory) -> tuple[int, str]:
    """As few as have been enough for long enough."""
    held = max(count for _, count in past.needed)
    if held >= workers:
        return workers, f"{past.needed[-1][1]} would do, but not yet for {rules.stabilization_s:g} s"
    return held, f"no more were needed for {rules.stabilization_s:g} s"


def _enough(rules: ScalingRules, workers: int, loads: Sequence[WorkerLoad]) -> str:
    if not loads:
        return "for nobody can be read"
    if workers == rules.most and max(_by_busy(rules, loads), _by_queue(rules, loads)) > workers:
        return "which is the most"
    return "which is right"


def _too_few(rules: ScalingRules, loads: Sequence[WorkerLoad]) -> str:
    if _by_queue(rules, loads) > _by_busy(rules, loads):
        return f"for more than {rules.target_queue:g} wait in each"
    return f"for they are busy for more than {rules.target_busy:g} of the time"


def _by_busy(rules: ScalingRules, loads: Sequence[WorkerLoad]) -> float:
    return sum(load.busy for load in loads) / rules.target_busy


def _by_queue(rules: ScalingRules, loads: Sequence[WorkerLoad]) -> float:
    return sum(load.queue for load in loads) / rules.target_queue
