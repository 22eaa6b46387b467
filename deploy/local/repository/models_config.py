"""TensorFlow Serving's models.config: which models there are, where, and which versions of them are served.

https://www.tensorflow.org/tfx/serving/serving_config
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tfleet.contract.identifiers import escaped, is_label
from tfleet.deploy.local.repository.listing import MAX_MODELS
from tfleet.deploy.local.repository.text_format import TextFields, TextFormatError, read_message
from tfleet.deploy.local.repository.values import VersionPolicy
from tfleet.deploy.local.repository.version_policy import read_policy

_PLATFORM: Final = "tensorflow"
_NOT_READ: Final = ("logging_config", "logging_configs")


@dataclass(frozen=True, slots=True)
class ConfiguredModel:
    """One `config`. `not_read` are the fields that tfleet has no use for."""

    name: str
    base_path: str
    policy: VersionPolicy
    labels: Mapping[str, str]
    not_read: tuple[str, ...]


def read_models_config(text: str) -> tuple[ConfiguredModel, ...]:
    """Read the file. Raises TextFormatError."""
    fields = TextFields(read_message(text), "models.config")
    listed = fields.message("model_config_list")
    if fields.has("custom_model_config"):
        raise TextFormatError("custom_model_config is not supported: use model_config_list")
    fields.end()
    if listed is None:
        raise TextFormatError("has no model_config_list")
    models = tuple(map(_model, listed.messages("config")))
    listed.end()
    names = [model.name for model in models]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise TextFormatError(f"has two models called {twice}")
    if len(models) > MAX_MODELS:
        raise TextFormatError(f"has {len(models)} models: at most {MAX_MODELS} are served")
    return models


def _model(fields: TextFields) -> ConfiguredModel:
    name, base_path, platform = map(fields.text, ("name", "base_path", "model_platform"))
    kind = fields.word("model_type")
    policy = fields.message("model_version_policy")
    labels = dict(map(_label, fields.messages("version_labels")))
    not_read = fields.has(*_NOT_READ)
    fields.end()
    if not name or not is_label(name):
        raise TextFormatError(f"a model's name is '{escaped(name)}': expected printable ASCII")
    if platform not in {"", _PLATFORM} or kind not in {"", "TENSORFLOW", "1"}:
        raise TextFormatError(
            f"model {name} has the platform '{escaped(platform or kind)}': expected {_PLATFORM}"
        )
    if not base_path or "://" in base_path or "\0" in base_path:
        raise TextFormatError(f"model {name} has the base_path '{escaped(base_path)}': expected a folder")
    chosen = VersionPolicy() if policy is None else read_policy(policy)
    return ConfiguredModel(name, base_path, chosen, labels, tuple(not_read))


def _label(fields: TextFields) -> tuple[str, str]:
    key, value = fields.text("key"), fields.integer("value")
    fields.end()
    if not key or not is_label(key) or value is None:
        raise TextFormatError(f"a version label needs a key and a value, found key '{escaped(key)}'")
    return key, str(value)
