"""Two polls of a repository -> which versions are complete. Pure.

Rules:

- A version is complete when it has files, and two polls in a row found the same.
- A model or a version has gone when two polls in a row did not find it: who replaces a folder may take it
  away for a moment.
"""

from __future__ import annotations

from collections.abc import Mapping

from tfleet.deploy.local.repository.values import FoundModel, ModelFiles, Poll, Release, VersionFiles


def found_models(before: Poll, now: Poll) -> Mapping[str, FoundModel]:
    """The models after two polls."""
    return {
        model: _found(model, before.models.get(model), now.models.get(model))
        for model in sorted(before.models.keys() | now.models.keys())
    }


def is_another_folder(before: Poll, now: Poll) -> bool:
    """Whether the repository is an empty folder in the place of one with models: a file system that is not
    mounted, and no wish to end all models.
    """
    return bool(before.models) and not now.models and before.identity != now.identity


def lasting_problems(before: Poll, now: Poll) -> tuple[str, ...]:
    """The problems that both polls have: others may be those of a copy that has just begun."""
    return tuple(line for line in now.problems if line in before.problems)


def _found(model: str, before: ModelFiles | None, now: ModelFiles | None) -> FoundModel:
    was, has = ({} if files is None else files.versions for files in (before, now))
    latest = next(files for files in (now, before) if files is not None)
    return FoundModel(
        {
            version: _release(model, version, was.get(version), has.get(version))
            for version in sorted(was.keys() | has.keys())
        },
        latest.policy,
        latest.labels,
        _unreadable(before, now),
    )


def _unreadable(before: ModelFiles | None, now: ModelFiles | None) -> dict[str, str]:
    """The versions that neither poll could look at: one alone may have met a copy that has just begun."""
    if before is None or now is None:
        return {}
    return {version: reason for version, reason in now.unreadable.items() if version in before.unreadable}


def _release(model: str, version: str, was: VersionFiles | None, has: VersionFiles | None) -> Release | None:
    if was is None or has is None or not has.stamp:
        return None
    if (was.stamp, was.activity, was.path) != (has.stamp, has.activity, has.path):
        return None
    return Release(model, version, has.stamp, has.path)
