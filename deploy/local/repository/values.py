"""What is in a model repository, as values: versions, releases, policies, polls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Release:
    """The files of one version of a model, as they were at one time: what a worker is started for.

    Files that change under the same version are another release of it.
    """

    model: str
    version: str
    stamp: str
    path: Path

    def __str__(self) -> str:
        return f"{self.model}/{self.version}"


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """Which versions of a model are served, as TensorFlow Serving's `model_version_policy` has it.

    Those named in `specific`; without it the `latest` highest ones; with neither, all.
    """

    latest: int | None = 1
    specific: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class VersionFiles:
    """One poll's look at a version's folder.

    `stamp` stands for the names, sizes and times of the files that make the version, and is empty without
    any. `activity` stands for all files, also for hidden and temporary ones that a copy may be writing.
    """

    path: Path
    stamp: str
    activity: str


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """One poll's look at a model's folder. `labels` are the versions of its labels in a models.config.

    `unreadable` are versions that are not looked at further, each with the reason.
    """

    versions: Mapping[str, VersionFiles]
    policy: VersionPolicy = VersionPolicy()
    labels: Mapping[str, str] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Poll:
    """One poll's look at the whole repository. Each of `problems` is a line about what is not served.

    `identity` tells the folder from another one in its place.
    """

    models: Mapping[str, ModelFiles]
    problems: tuple[str, ...] = ()
    identity: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model after two polls: its versions, each with its release, or None while its files change.

    `unreadable` are versions that neither poll could look at, each with the reason.
    """

    versions: Mapping[str, Release | None]
    policy: VersionPolicy = VersionPolicy()
    labels: Mapping[str, str] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)


class RepositoryError(Exception):
    """The repository can't be read. The message is one line."""
