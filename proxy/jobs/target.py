"""Which version of which model a job is for.

The rules are those of any request. While no worker is ready, a job goes where the last one of its kind went:
a job may wait until workers are back, which another request can't. But only where the plan still gives that
version: after a label has moved, or another version was promoted, the last one is the wrong one.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from tfleet.contract.problem import Problem, ProblemError
from tfleet.discovery.plan import labels_of
from tfleet.discovery.plan_watch import Plans
from tfleet.httpd.http1.request import RequestHead
from tfleet.jobs.job import JobTarget
from tfleet.proxy.balancing.model_router import ModelRouter
from tfleet.proxy.balancing.versions import Fleet, Wanted
from tfleet.proxy.problems import NO_WORKER

_UNAVAILABLE: Final = 503
_MOST_REMEMBERED: Final = 1000

_NAMELESS: Final = Problem(
    400,
    "jobs need the name and version of their model, and a static list of workers has none: name them, as in "
    "POST /jobs?model=NAME&version=VERSION",
)


class JobTargets:
    """Finds the targets of jobs. It belongs to one event loop."""

    def __init__(self, router: ModelRouter) -> None:
        self._router = router
        self._last: OrderedDict[Wanted, JobTarget] = OrderedDict()

    def __repr__(self) -> str:
        return f"<JobTargets {len(self._last)} remembered>"

    def find(self, wanted: Wanted, head: RequestHead) -> JobTarget:
        """The version that a job is for. Raises ProblemError: 400, 404, 409 or 503."""
        try:
            target = self._find(wanted, head)
        except ProblemError as error:
            last = self._last.get(wanted)
            if error.problem.status != _UNAVAILABLE or last is None or not self._still_gives(wanted, last):
                raise
            return last
        if self._still_gives(wanted, target):  # else it was the turn of a canary, or a stand-in
            self._remember(wanted, target)
        return target

    def _still_gives(self, wanted: Wanted, target: JobTarget) -> bool:
        return still_gives(self._router.plans, self._router.fleet, wanted, target)

    def _remember(self, wanted: Wanted, target: JobTarget) -> None:
        self._last[wanted] = target
        self._last.move_to_end(wanted)
        if len(self._last) > _MOST_REMEMBERED:
            self._last.popitem(last=False)

    def _find(self, wanted: Wanted, head: RequestHead) -> JobTarget:
        member = self._router.route(wanted, head).candidates.pick()
        if member is None:
            raise ProblemError(NO_WORKER)
        instance = member.instance
        if instance.stateful:
            raise ProblemError(
                Problem(
                    409,
                    f"the model {instance.model} changes with each request, and a job may be computed twice: "
                    "send the request without a queue",
                )
            )
        if instance.model:
            return JobTarget(instance.model, instance.version)
        if wanted.model is None or wanted.version is None:
            raise ProblemError(_NAMELESS)
        return JobTarget(wanted.model, wanted.version)


def still_gives(plans: Plans, fleet: Fleet, wanted: Wanted, target: JobTarget) -> bool:
    """Whether what a job wants is this version by the plans of now, workers or not. `fleet` are the versions
    that workers have, ready or not.
    """
    if wanted.model is None and not _is_default(plans, fleet, target.model):
        return False
    if wanted.version is not None:
        return True
    plan = plans.models.get(target.model)
    if wanted.label is not None:
        return plan is not None and labels_of(plan).get(wanted.label) == target.version
    if plan is not None:
        return plan.stable == target.version
    versions = {key.version for key in fleet if key.model == target.model}
    return not versions or target.version in versions


def _is_default(plans: Plans, fleet: Fleet, model: str) -> bool:
    if plans.default:
        return plans.default == model
    return {key.model for key in fleet} <= {model}
