"""Where the models are: a folder, or the folders that a models.config of TensorFlow Serving names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from tfleet.deploy.local.repository.listing import list_model, list_models
from tfleet.deploy.local.repository.models_config import ConfiguredModel, read_models_config
from tfleet.deploy.local.repository.text_format import TextFormatError, read_text
from tfleet.deploy.local.repository.values import ModelFiles, Poll, RepositoryError, VersionPolicy


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


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """A models.config, which is read again at each poll."""

    path: Path

    def poll(self) -> Poll:
        try:
            configured = read_models_config(read_text(self.path))
        except TextFormatError as error:
            raise RepositoryError(f"{self.path}: {error}") from error
        except OSError as error:
            raise RepositoryError(f"{self.path}: cannot be read: {error.strerror or error}") from error
        models, problems = {}, []
        for each in configured:
            models[each.name], of_model = self._model(each)
            problems += of_model
        return Poll(models, tuple(problems))

    def _model(self, model: ConfiguredModel) -> tuple[ModelFiles, list[str]]:
        # A relative path is one from the file's own folder, wherever tfleet was started.
        files, problems = list_model(self.path.parent / model.base_path, model.policy)
        for version in sorted(model.policy.specific or ()):
            if version not in files.versions:
                problems.append(f"{self.path}: model {model.name} has no version {version}")
        problems += [
            f"{self.path}: {name} of model {model.name} is not used: workers log each request"
            for name in model.not_read
        ]
        return replace(files, labels=model.labels), problems
