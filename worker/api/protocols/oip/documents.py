"""What the protocol says of models: metadata, configuration, statistics, index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tfleet.worker.api.protocols.oip.datatypes import BYTES, datatype
from tfleet.worker.model.signature import Signature, TensorInfo

if TYPE_CHECKING:
    from tfleet.worker.metrics import PredictionTotals

SAVED_MODEL: Final = "tensorflow_savedmodel"
GRAPH: Final = "tensorflow_graphdef"
IMAGE_INPUT: Final = "image_input"
"""The parameter with the name of the input that takes images."""
_ANY: Final = -1
_NS_IN_MS: Final = 1_000_000
_MOST_DIGITS: Final = 18  # of an int64


@dataclass(frozen=True, slots=True)
class DescribedModel:
    """A model, and the signature that an inference request runs.

    `maps_rows`: dimension 0 of all its tensors is that of rows, of which a request may have `max_rows`.
    `runs` is how many runs go on at a time. `image_input` takes images as BYTES, too.
    """

    name: str
    version: str
    platform: str
    signature: Signature
    maps_rows: bool
    max_rows: int
    runs: int
    image_input: str | None = None


def model_metadata(model: DescribedModel) -> dict[str, Any]:
    """`GET /v2/models/NAME`. A dimension of any size is -1, and so is a shape of any rank."""
    found: dict[str, Any] = {
        "name": model.name,
        "versions": [model.version],
        "platform": model.platform,
        "inputs": [_metadata(info) for info in model.signature.inputs],
        "outputs": [_metadata(info) for info in model.signature.outputs],
    }
    return found if model.image_input is None else {**found, "parameters": {IMAGE_INPUT: model.image_input}}


def _metadata(info: TensorInfo) -> dict[str, Any]:
    return {"name": info.name, "datatype": _name(info), "shape": _dims(info)}


def model_configuration(model: DescribedModel) -> dict[str, Any]:
    """`GET /v2/models/NAME/config`, in the words of Triton's ModelConfig.

    With a `max_batch_size` above 0 the `dims` are without the dimension of rows, as Triton has them. Tensors
    that are vectors of rows would have none left, which it does not allow: then it is 0.
    """
    tensors = (*model.signature.inputs, *model.signature.outputs)
    batched = model.maps_rows and all(len(info.shape or ()) > 1 for info in tensors)
    parameters = {"signature": model.signature.name}
    if model.image_input is not None:
        parameters[IMAGE_INPUT] = model.image_input
    return {
        "name": model.name,
        "platform": model.platform,
        "backend": "tensorflow",
        "version_policy": _version_policy(model.version),
        "max_batch_size": model.max_rows if batched else 0,
        "input": [
            {**_configuration(info, batched), "optional": info.optional} for info in model.signature.inputs
        ],
        "output": [_configuration(info, batched) for info in model.signature.outputs],
        # On a GPU where TensorFlow sees one.
        "instance_group": [{"name": model.name, "kind": "KIND_AUTO", "count": model.runs}],
        "parameters": {name: {"string_value": value} for name, value in parameters.items()},
    }


def _configuration(info: TensorInfo, batched: bool) -> dict[str, Any]:
    kind, dims = datatype(info.dtype) or "INVALID", _dims(info)
    return {
        "name": info.name,
        "data_type": f"TYPE_{'STRING' if kind == BYTES else kind}",
        "dims": dims[1:] if batched else dims,
    }


def model_statistics(name: str, version: str, found: PredictionTotals) -> dict[str, Any]:
    """`GET /v2/models/NAME/stats`. What nobody measures here has a count of 0."""
    success_ms = found.decode_ms + found.queue_ms + found.infer_ms
    return {
        "model_stats": [
            {
                "name": name,
                "version": version,
                "last_inference": int(found.last_s * 1000),
                "inference_count": found.rows,
                "execution_count": round(found.runs),
                "inference_stats": {
                    "success": _duration(found.requests, success_ms),
                    "fail": _duration(found.failed, found.failed_ms),
                    "queue": _duration(found.requests, found.queue_ms),
                    "compute_input": _duration(found.requests, found.decode_ms),
                    "compute_infer": _duration(found.requests, found.infer_ms),
                    **{each: _duration(0, 0) for each in ("compute_output", "cache_hit", "cache_miss")},
                },
                "response_stats": {},
                "batch_stats": [],
                "memory_usage": [],
            }
        ]
    }


def _duration(count: int, sum_ms: float) -> dict[str, int]:
    return {"count": count, "ns": int(sum_ms * _NS_IN_MS)}


def _name(info: TensorInfo) -> str:
    return datatype(info.dtype) or info.dtype.upper()


def _dims(info: TensorInfo) -> list[int]:
    return [_ANY] if info.shape is None else [_ANY if size is None else size for size in info.shape]


def _version_policy(version: str) -> dict[str, Any]:
    """Triton's versions are numbers. One with another name is the latest, as the only one."""
    digits = version.isascii() and version.isdigit() and len(version) <= _MOST_DIGITS
    return {"specific": {"versions": [int(version)]}} if digits else {"latest": {"num_versions": 1}}
