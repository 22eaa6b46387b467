"""What the Open Inference Protocol's `GET /v2` says, the same at a worker and at a proxy."""

from __future__ import annotations

from typing import Any, Final

EXTENSIONS: Final = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "statistics",
)
"""Those of Triton's extensions that clients may use here."""


def server_metadata(version: str) -> dict[str, Any]:
    """The answer to `GET /v2`, for this version of tfleet."""
    return {"name": "tfleet", "version": version, "extensions": list(EXTENSIONS)}
