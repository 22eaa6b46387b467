"""Triton's config.pbtxt of a model: what of it changes how tfleet serves the model.

Inputs, outputs and how requests are batched follow from the model itself, so what the file says of them is
not read. https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from tfleet.contract.identifiers import escaped
from tfleet.deploy.local.repository.text_format import TextFields, TextFormatError, read_message
from tfleet.deploy.local.repository.values import VersionPolicy
from tfleet.deploy.local.repository.version_policy import read_policy

CONFIG: Final = "config.pbtxt"
_PLATFORMS: Final = ("tensorflow_savedmodel", "tensorflow_graphdef")
_BACKEND: Final = "tensorflow"
_NOT_READ: Final = (
    *("max_batch_size", "input", "output", "batch_input", "batch_output", "dynamic_batching", "optimization"),
    *("instance_group", "parameters", "model_warmup", "metric_tags", "model_metrics", "response_cache"),
    *("model_operations", "model_transaction_policy"),
)
_REFUSED: Final = (
    "ensemble_scheduling",
    "sequence_batching",
    "model_repository_agents",
    "cc_model_filenames",
)


@dataclass(frozen=True, slots=True)
class TritonConfig:
    """`policy` None is the default one. `filename` is the model's in its version folder, empty for any."""

    policy: VersionPolicy | None
    filename: str


# Each poll reads the file again, which hardly ever changes.
@lru_cache(maxsize=256)
def read_triton_config(text: str, model: str) -> TritonConfig:
    """Read the file of the model in a folder of that name. Raises TextFormatError."""
    fields = TextFields(read_message(text), CONFIG)
    name, platform, backend = map(fields.text, ("name", "platform", "backend"))
    fields.text("runtime")
    filename = fields.text("default_model_filename")
    policy = fields.message("version_policy")
    if refused := fields.has(*_REFUSED):
        raise TextFormatError(f"{refused[0]} is not supported: tfleet serves single models")
    fields.has(*_NOT_READ)
    fields.end()
    if name not in {"", model}:
        raise TextFormatError(f"name is '{escaped(name)}', but the folder is called {model}")
    if platform not in {"", *_PLATFORMS}:
        raise TextFormatError(
            f"platform is '{escaped(platform)}': tfleet serves TensorFlow models ({', '.join(_PLATFORMS)})"
        )
    if backend not in {"", _BACKEND}:
        raise TextFormatError(f"backend is '{escaped(backend)}': tfleet serves models of {_BACKEND} only")
    if "/" in filename or filename in {".", ".."}:
        raise TextFormatError(f"default_model_filename is '{escaped(filename)}': expected a name")
    return TritonConfig(None if policy is None else read_policy(policy), filename)
