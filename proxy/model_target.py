"""What the path of a request names, and the path for a worker.

A worker knows its version and no labels, so a label in a path becomes the version that it stands for. These
paths name models:

- `/models/NAME[/versions/V|/labels/L]`, with anything behind it.
- TensorFlow Serving's REST API and the Open Inference Protocol, `/v1` and `/v2`: see inference_paths.py.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from tfleet.contract.names import MODELS_PATH
from tfleet.proxy.balancing.versions import ANY, Wanted
from tfleet.proxy.inference_paths import InferencePath, is_inference_path, read_inference_path

_PREFIX: Final = f"{MODELS_PATH}/".encode()
_VERSIONS: Final = b"/versions/"
_BELOW_MODELS: Final = f"{MODELS_PATH}/{{below}}"


class ModelTarget(NamedTuple):
    """What a target names. `prefix` is its beginning, up to and with the model's name; `rest` is what follows
    the version or label, with the query. `route` is the path without names, for counters; empty where the
    path itself will do.
    """

    wanted: Wanted
    prefix: bytes = b""
    rest: bytes = b""
    route: str = ""


_NOTHING: Final = ModelTarget(ANY)


def read_model_target(method: bytes, target: bytes) -> ModelTarget:
    """Read the target of a request; ANY for a path that names no model."""
    path, mark, query = target.partition(b"?")
    if path.startswith(_PREFIX):
        return _read_native(path, mark + query)
    if is_inference_path(path):
        found = read_inference_path(method, path)
        if found is not None:
            return _of_inference(found, mark + query)
    return _NOTHING


def target_for(path: ModelTarget, target: bytes, version: str) -> bytes:
    """The target for a worker of this version."""
    if path.wanted.label is None:
        return target
    return path.prefix + _VERSIONS + quote(version, safe="").encode() + path.rest


def _read_native(path: bytes, query: bytes) -> ModelTarget:
    name, *parts = path[len(_PREFIX) :].split(b"/")
    if not name:
        return _NOTHING
    model, rest = _decoded(name), parts
    wanted = Wanted(model)
    match parts:
        case [b"versions", version, *rest] if version:
            wanted = Wanted(model, version=_decoded(version))
        case [b"labels", label, *rest] if label:
            wanted = Wanted(model, label=_decoded(label))
    behind = b"".join(b"/" + part for part in rest)
    return ModelTarget(wanted, _PREFIX + name, behind + query, _BELOW_MODELS)


def _of_inference(found: InferencePath, query: bytes) -> ModelTarget:
    return ModelTarget(found.wanted, found.prefix, found.rest + query, found.route)


def _decoded(part: bytes) -> str:
    return unquote(part.decode("ascii"))
