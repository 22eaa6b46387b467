"""The whole document: the pages of a server, and the paths of each model that it serves. Pure.

Every path of a model is written out with its name, and each version has its own: two models differ in what
they take, and two versions of one may. The server itself adds what only it knows, see `ServerDescription`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tfleet.contract.openapi.calls import call_components
from tfleet.contract.openapi.described import MOST_SIGNATURES, MOST_TENSORS
from tfleet.contract.openapi.native import native_components, native_paths, unnamed_paths
from tfleet.contract.openapi.native_shared import native_shared
from tfleet.contract.openapi.oip import oip_components, oip_paths, repository_paths
from tfleet.contract.openapi.oip_pages import oip_shared
from tfleet.contract.openapi.places import ModelPlace, ServedVersion, places
from tfleet.contract.openapi.schemas import PLAIN_ERRORS, PROBLEMS, Json, ref, shared_components
from tfleet.contract.openapi.tfs import tfs_components, tfs_paths, tfs_shared

OPENAPI_VERSION: Final = "3.1.0"
LEFT_OUT: Final = "x-tfleet-left-out"
"""The member of the document that lists what it does not describe, and why."""

_REDIRECT: Final = {"307": ref("responses", "Redirect")}
_NOT_IN_IDS: Final = re.compile(r"[^A-Za-z0-9]+")
_NAN: Final = (
    "NaN and the infinities are the words NaN, Infinity and -Infinity in JSON, in requests and answers, as "
    "in TensorFlow Serving."
)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is served and not described, and why: in one line, with what to do."""

    model: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class ServerDescription:
    """The server that gives the document. `version` is tfleet's, `about` says in a few words what it is.

    `pages` are its paths that are of no model. `redirects`: native requests for a model may be answered
    with a redirect to a worker; `redirects_inference`: those below `/v1` and `/v2`.
    """

    about: str
    version: str
    pages: Mapping[str, Json]
    redirects: bool = False
    redirects_inference: bool = False
    left_out: Sequence[LeftOut] = field(default=())


def openapi_document(server: ServerDescription, versions: Sequence[ServedVersion]) -> Json:
    """The document of a server with these versions. At most one version of each model is `for_model`."""
    found = places(versions)
    left_out = [*server.left_out, *_signatures_left_out(found)]
    paths: dict[str, Json] = {}
    for each in (server.pages, *map(_paths_of(server), found)):
        for path, item in each.items():
            # The pages of the server are first, and first here, as where a model is called "stats".
            paths[path] = {**item, **paths.get(path, {})}
    document: Json = {
        "openapi": OPENAPI_VERSION,
        "info": {"title": "tfleet", "version": server.version, "description": _description(server, left_out)},
        "servers": [{"url": "/"}],
        "security": [{}, {"ticket": []}],
        "tags": _tags(found),
        "paths": _with_ids(paths),
        "components": _components(found),
    }
    if left_out:
        document[LEFT_OUT] = [
            {"model": each.model, "version": each.version, "reason": each.reason} for each in left_out
        ]
    return document


def _paths_of(server: ServerDescription) -> Callable[[ModelPlace], dict[str, Json]]:
    native = {**(_REDIRECT if server.redirects else {}), **PROBLEMS}
    inference = {**(_REDIRECT if server.redirects_inference else {}), **PLAIN_ERRORS}

    def paths(place: ModelPlace) -> dict[str, Json]:
        named = {**unnamed_paths(place, native), **native_paths(place, native)}
        tfs, oip = tfs_paths(place, inference), oip_paths(place, inference)
        return {**named, **tfs, **oip, **repository_paths(place)}

    return paths


def _components(found: Sequence[ModelPlace]) -> Json:
    parts = [shared_components(), call_components(), native_shared(), tfs_shared(), oip_shared()]
    for place in found:
        parts += [native_components(place), tfs_components(place), oip_components(place)]
    merged: dict[str, Json] = {}
    for part in parts:
        for kind, members in part.items():
            merged.setdefault(kind, {}).update(members)
    return merged


def _tags(found: Sequence[ModelPlace]) -> list[Json]:
    """A tag for each model, and one for the pages that are of none. A model may be called server."""
    kinds = {place.model.name: f"A model of kind {place.model.kind}." for place in found}
    return [{"name": name, "description": text} for name, text in {"server": "Pages.", **kinds}.items()]


def _description(server: ServerDescription, left_out: Sequence[LeftOut]) -> str:
    text = f"{server.about} {_NAN}"
    if left_out:
        text += f" {len(left_out)} things are not described, see {LEFT_OUT}."
    return text


def _signatures_left_out(found: Sequence[ModelPlace]) -> list[LeftOut]:
    return [
        LeftOut(
            place.model.name,
            place.model.version,
            f"{place.model.left_out} signatures: at most {MOST_SIGNATURES} are described, each with at most "
            f"{MOST_TENSORS} inputs and outputs; see GET /models/NAME",
        )
        for place in found
        if place.model.left_out
    ]


def _with_ids(paths: Mapping[str, Json]) -> dict[str, Json]:
    """The paths, where each operation has an id of its own, by its method and path."""
    found: dict[str, Json] = {}
    taken: dict[str, int] = {}
    for path, item in paths.items():
        found[path] = {}
        for method, described in item.items():
            name = _NOT_IN_IDS.sub("_", f"{method}{path}").strip("_")
            taken[name] = taken.get(name, 0) + 1
            unique = name if taken[name] == 1 else f"{name}__{taken[name]}"
            found[path][method] = {"operationId": unique, **described}
    return found
