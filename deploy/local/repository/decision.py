"""Which releases of a model to start, and which to drain. Pure.

Rules:

- Wanted are the versions that the model's policy names, and those that its plan names, if they are complete
  and usable. A release that can't be used is as if it was not there, until its files change: so the version
  below it is wanted, which serves already.
- While the files of a version change, and where its new files can't be used, the release of it that runs
  stands for it: overwriting a version must not bring back the one below.
- A release that is not wanted drains when its successor has taken over: all workers of the highest wanted
  version are ready and, if its own version has new files, those of these, too.
- Nothing drains while no wanted release has taken over, but for a model whose folder has gone.
- A version that the plan names stays, even where its folder has gone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tfleet.deploy.local.repository.values import FoundModel, Release
from tfleet.discovery.version_order import version_rank


@dataclass(frozen=True, slots=True)
class RunningRelease:
    """The workers of a release: how many were asked for, and how many of them the proxy has as ready."""

    release: Release
    workers: int
    ready: int

    @property
    def complete(self) -> bool:
        """Whether all workers are ready."""
        return self.ready >= self.workers


@dataclass(frozen=True, slots=True)
class Actions:
    """The releases to start, the most important first, and those to drain."""

    start: tuple[Release, ...] = ()
    drain: tuple[Release, ...] = ()


def decide(
    model: FoundModel | None,
    running: Sequence[RunningRelease],
    *,
    unusable: Collection[Release] = (),
    planned: Collection[str] = (),
) -> Actions:
    """Decide about one model, None if it has gone. `running` are those that do not drain yet.

    `planned` are the versions that the model's plan names.
    """
    if model is None:
        return Actions(drain=tuple(each.release for each in running))
    wanted = wanted_releases(model, [each.release for each in running], unusable=unusable, planned=planned)
    now = {each.release for each in running}
    start = tuple(each for each in wanted if each not in now)
    complete = {each.release for each in running if each.complete}
    drain = tuple(
        each.release
        for each in running
        if each.release not in wanted
        and (each.release in unusable or _has_successor(each.release, wanted, complete, planned))
    )
    return Actions(start, drain)


def wanted_releases(
    model: FoundModel,
    running: Sequence[Release],
    *,
    unusable: Collection[Release] = (),
    planned: Collection[str] = (),
) -> tuple[Release, ...]:
    """The releases that shall run, the highest version first."""
    of_version = {each.version: each for each in running if each not in unusable}
    usable = []
    for version in sorted(model.versions, key=version_rank, reverse=True):
        found = model.versions[version]
        release = of_version.get(version) if found is None or found in unusable else found
        if release is not None:
            usable.append(release)
    policy = model.policy
    if policy.specific is not None:
        chosen = [each for each in usable if each.version in policy.specific]
    else:
        chosen = usable[: policy.latest]
    return tuple(each for each in usable if each in chosen or each.version in planned)


def _has_successor(
    release: Release, wanted: Sequence[Release], complete: Collection[Release], planned: Collection[str]
) -> bool:
    """Whether others serve all that the release did."""
    same = [each for each in wanted if each.version == release.version]
    if release.version in planned and not same:
        return False
    needed = {*same, *wanted[:1]}
    return bool(needed) and needed <= set(complete)
