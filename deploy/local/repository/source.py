"""Where the models are: a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tfleet.deploy.local.repository.listing import list_models
from tfleet.deploy.local.repository.values import Poll, VersionPolicy


class ModelSource(Protocol):
    """What is looked at again and again."""

    @property
    def path(self) -> Path:
        """What `--models` names."""

    def poll(self) -> Poll:
        """Look at it now. Raises RepositoryError if it can't be read."""


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A folder NAME/VERSION. `keep` versions of a model stay beside the highest."""

    path: Path
    keep: int = 0

    def poll(self) -> Poll:
        return list_models(self.path, VersionPolicy(latest=1 + self.keep))
