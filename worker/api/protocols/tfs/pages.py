"""What TensorFlow Serving's REST API says about a model: its status, and its signatures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from tfleet.contract.identifiers import version_of_folder
from tfleet.worker.model.signature import Signature, TensorInfo

LOADING: Final = "LOADING"
AVAILABLE: Final = "AVAILABLE"
UNLOADING: Final = "UNLOADING"
NO_IMAGES: Final[Mapping[str, str]] = MappingProxyType({})

_DTYPES: Final = {"float32": "DT_FLOAT", "float64": "DT_DOUBLE", "float16": "DT_HALF"}


def status_page(versions: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The answer to `GET /v1/models/M`, for each version with its state.

    `ready` is what KServe's clients read.
    """
    found = list(versions)
    return {
        "model_version_status": [
            {
                "version": version_of_folder(version),
                "state": state,
                "status": {"error_code": "OK", "error_message": ""},
            }
            for version, state in found
        ],
        "ready": any(state == AVAILABLE for _, state in found),
    }


def metadata_page(
    model: str, version: str, signatures: Iterable[Signature], images: Mapping[str, str] = NO_IMAGES
) -> dict[str, Any]:
    """The answer to `GET /v1/models/M/metadata`: TensorFlow's SignatureDefs in JSON.

    `images` has the input that takes images as `{"b64": ...}`, by the name of its signature.
    """
    metadata: dict[str, Any] = {
        "signature_def": {"signature_def": {each.name: _definition(each) for each in signatures}}
    }
    if images:
        metadata["image_input"] = dict(images)
    spec = {"name": model, "signature_name": "", "version": version_of_folder(version)}
    return {"model_spec": spec, "metadata": metadata}


def _definition(signature: Signature) -> dict[str, Any]:
    return {
        "inputs": {info.name: _tensor(info) for info in signature.inputs},
        "outputs": {info.name: _tensor(info) for info in signature.outputs},
        "method_name": signature.method,
        "defaults": {},
    }


def _tensor(info: TensorInfo) -> dict[str, Any]:
    """Numbers are strings: protocol buffers write 64-bit integers so."""
    return {
        "dtype": _DTYPES.get(info.dtype, f"DT_{info.dtype.upper()}"),
        "tensor_shape": {
            "dim": [{"size": str(-1 if size is None else size), "name": ""} for size in info.shape or ()],
            "unknown_rank": info.shape is None,
        },
        "name": info.tensor,
    }
