"""What a path below `/models` names, and the path for a worker.

`/models/NAME[/versions/V|/labels/L]`, with anything behind it. A worker knows its version and no labels, so a
label in a path becomes the version that it stands for.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from tfleet.contract.names import MODELS_PATH
from tfleet.proxy.balancing.versions import ANY, Wanted

_PREFIX: Final = f"{MODELS_PATH}/".encode()
_VERSIONS: Final = b"versions"


class ModelTarget(NamedTuple):
    """What a target names. `rest` is what follows, with its slash, and the query."""

    wanted: Wanted
    rest: bytes = b""


_NOTHING: Final = ModelTarget(ANY)


def read_model_target(target: bytes) -> ModelTarget:
    """Read the target of a request; ANY for a path that is not below `/models`."""
    if not target.startswith(_PREFIX):
        return _NOTHING
    path, mark, query = target[len(_PREFIX) :].partition(b"?")
    name, *parts = path.split(b"/")
    if not name:
        return _NOTHING
    model, rest = _decoded(name), parts
    wanted = Wanted(model)
    match parts:
        case [b"versions", version, *rest] if version:
            wanted = Wanted(model, version=_decoded(version))
        case [b"labels", label, *rest] if label:
            wanted = Wanted(model, label=_decoded(label))
    return ModelTarget(wanted, b"".join(b"/" + part for part in rest) + mark + query)


def target_for(path: ModelTarget, target: bytes, version: str) -> bytes:
    """The target for a worker of this version."""
    if path.wanted.label is None or path.wanted.model is None:
        return target
    name, number = (quote(text, safe="").encode() for text in (path.wanted.model, version))
    return _PREFIX + name + b"/" + _VERSIONS + b"/" + number + path.rest


def _decoded(part: bytes) -> str:
    return unquote(part.decode("ascii"))
