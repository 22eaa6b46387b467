"""What a request below `/v1` or `/v2` asks for, by its method and its path. Pure.

`/v1` is TensorFlow Serving's REST API (contract/tfs_paths.py), where a version is a number. `/v2` is the Open
Inference Protocol.

Names in paths are decoded, all else has to be written as it is here. What concerns one version of a model is
a worker's to answer; what concerns the fleet the proxy answers by itself (admin/inference_pages.py).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import unquote

from tfleet.contract.problem import is_plain
from tfleet.contract.tfs_paths import TfsAction, is_tfs_path, read_tfs_path
from tfleet.proxy.balancing.versions import ANY, Wanted


class RequestKind(StrEnum):
    """What is asked for. `WORKER` is what a worker answers."""

    WORKER = "worker"
    MODELS = "models"
    STATUS = "status"
    SERVER = "server"
    LIVE = "live"
    READY = "ready"
    MODEL_READY = "model ready"
    ALL_STATISTICS = "statistics of all models"
    INDEX = "index"
    LOAD = "load"
    UNLOAD = "unload"
    REGIONS = "regions of shared memory"
    REGISTER = "register shared memory"
    UNREGISTER = "unregister shared memory"
    NOT_HERE = "settings that this server lacks"


class InferencePath(NamedTuple):
    """What a path asks for. `prefix` is the path up to and with the model's name, `rest` what follows the
    version or label, both as they came; `route` is the path without names.
    """

    kind: RequestKind
    wanted: Wanted = ANY
    prefix: bytes = b""
    rest: bytes = b""
    route: str = ""


_OIP_MODEL: Final = rb"(?P<prefix>/v2/models/(?P<model>[^/]+))(?:/versions/(?P<version>[^/]+))?"
_REPOSITORY: Final = rb"/v2/repository/models/(?P<model>[^/]+)"
_SHARED_MEMORY: Final = rb"/v2/(?:system|cuda)sharedmemory"

_OIP: Final = "/v2"
_GET: Final = frozenset({b"GET", b"HEAD"})
_READ: Final[tuple[tuple[re.Pattern[bytes], RequestKind], ...]] = (
    (re.compile(rb"/v2/?"), RequestKind.SERVER),
    (re.compile(rb"/v2/health/live"), RequestKind.LIVE),
    (re.compile(rb"/v2/health/ready"), RequestKind.READY),
    (re.compile(rb"/v2/models/stats"), RequestKind.ALL_STATISTICS),
    (re.compile(_OIP_MODEL + rb"(?P<rest>/ready)"), RequestKind.MODEL_READY),
    (re.compile(_OIP_MODEL + rb"(?P<rest>(?:/config|/stats)?)"), RequestKind.WORKER),
    (re.compile(_SHARED_MEMORY + rb"(?:/region/[^/]+)?/status"), RequestKind.REGIONS),
    (re.compile(rb"/v2/(?:trace/setting|models/[^/]+/trace/setting|logging)"), RequestKind.NOT_HERE),
)
_WRITTEN: Final[tuple[tuple[re.Pattern[bytes], RequestKind], ...]] = (
    (re.compile(_OIP_MODEL + rb"(?P<rest>/infer)"), RequestKind.WORKER),
    (re.compile(rb"/v2/repository/index"), RequestKind.INDEX),
    (re.compile(_REPOSITORY + rb"/load"), RequestKind.LOAD),
    (re.compile(_REPOSITORY + rb"/unload"), RequestKind.UNLOAD),
    (re.compile(_SHARED_MEMORY + rb"/region/[^/]+/register"), RequestKind.REGISTER),
    (re.compile(_SHARED_MEMORY + rb"(?:/region/[^/]+)?/unregister"), RequestKind.UNREGISTER),
    (re.compile(rb"/v2/(?:trace/setting|models/[^/]+/trace/setting|logging)"), RequestKind.NOT_HERE),
)
_OF_FLEET: Final = {TfsAction.MODELS: RequestKind.MODELS, TfsAction.STATUS: RequestKind.STATUS}
"""What the proxy answers below `/v1`."""


def is_inference_path(path: bytes) -> bool:
    """Whether the path is `/v1`, `/v2` or below one of them."""
    return is_plain(path[:4].decode("ascii"))


def read_inference_path(method: bytes, path: bytes) -> InferencePath | None:
    """What a request asks for; None where there is no such thing, or not with this method."""
    text = path.decode("ascii")
    if is_tfs_path(text):
        return _read_tfs(method.decode("ascii"), text)
    if method in _GET:
        return _read(path, _READ)
    return _read(path, _WRITTEN) if method == b"POST" else None


def methods_of(path: bytes) -> tuple[str, ...]:
    """The methods with which the path asks for something."""
    reads = ("GET", "HEAD") if read_inference_path(b"GET", path) is not None else ()
    return (*reads, "POST") if read_inference_path(b"POST", path) is not None else reads


def asks_worker(method: bytes, path: bytes) -> bool:
    """Whether a worker answers it."""
    found = read_inference_path(method, path)
    return found is not None and found.kind is RequestKind.WORKER


def is_for_any_worker(method: bytes, path: bytes) -> bool:
    """Whether a worker answers it where the proxy does not know which models the workers have."""
    found = read_inference_path(method, path)
    return found is not None and found.kind not in {RequestKind.SERVER, RequestKind.LIVE, RequestKind.READY}


def _read(path: bytes, patterns: tuple[tuple[re.Pattern[bytes], RequestKind], ...]) -> InferencePath | None:
    for pattern, kind in patterns:
        found = pattern.fullmatch(path)
        if found is not None:
            return _found(kind, path, found.groupdict())
    return None


def _found(kind: RequestKind, path: bytes, parts: dict[str, bytes | None]) -> InferencePath:
    if (name := parts.get("model")) is None:
        return InferencePath(kind, route=f"{_OIP}/{{below}}")
    version = parts.get("version")
    wanted = Wanted(_decoded(name), None if version is None else _decoded(version))
    if (prefix := parts.get("prefix")) is None:
        return InferencePath(kind, wanted, route=f"{_OIP}/{{below}}")
    rest = parts.get("rest") or b""
    return InferencePath(kind, wanted, prefix, rest, f"{_OIP}/models/{{model}}{rest.decode('ascii')}")


def _read_tfs(method: str, path: str) -> InferencePath | None:
    found = read_tfs_path(method, path)
    if found is None:
        return None
    kind = _OF_FLEET.get(found.action, RequestKind.WORKER)
    if kind is RequestKind.MODELS:
        return InferencePath(kind, route="/v1/{below}")
    version, label = (None if each is None else unquote(each) for each in (found.version, found.label))
    wanted = Wanted(unquote(found.model), version, label, tfs=True)
    route = f"/v1/models/{{model}}{found.rest.lower()}"
    return InferencePath(kind, wanted, found.prefix.encode(), found.rest.encode(), route)


def _decoded(part: bytes) -> str:
    return unquote(part.decode("ascii"))
