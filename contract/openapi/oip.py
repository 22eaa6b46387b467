"""The Open Inference Protocol in the document: the paths of a model below `/v2`. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from tfleet.contract.datatypes import BYTES, DATATYPE_OF
from tfleet.contract.example_values import MOST_SHOWN, full_dims, sample, shown_values, takes_rows
from tfleet.contract.names import JSON_LENGTH
from tfleet.contract.openapi.calls import CODED_HEADERS, CODED_PARAMETERS, PIXEL_PNG, query
from tfleet.contract.openapi.described import ModelDescription, SignatureDescription, TensorDescription
from tfleet.contract.openapi.oip_pages import not_ready
from tfleet.contract.openapi.places import ModelPlace
from tfleet.contract.openapi.schemas import (
    BINARY,
    COUNT,
    JSON,
    OBJECT,
    PLAIN_ERRORS,
    STRING,
    Json,
    answer,
    any_of,
    any_tensor,
    body,
    content,
    list_of,
    operation,
    page,
    raw,
    record,
    ref,
    schema,
)

_ROOT: Final = "/v2"
_SIZES: Final[Json] = list_of(COUNT)
_PAGES: Final = (("", "OipModel", "The tensors of"), ("/config", "OipConfig", "Triton's configuration of"))


def oip_components(place: ModelPlace) -> Json:
    """The body and the answer of a version's `infer`."""
    model, name = place.model, place.component("v2")
    schemas: dict[str, Json] = {}
    requests = [
        place.schemas(schemas, each)("v2_request", _request(model, each))
        for each in model.signatures
        if _fits(each)
    ]
    if not requests:
        return {}
    examples = {}
    if model.default is not None and (example := _example(model, model.default)) is not None:
        examples["one row"] = example
    asked = body(content(JSON, any_of(*requests), examples), raw(BINARY))
    headers = {
        **CODED_HEADERS,
        JSON_LENGTH: {"description": "How long the JSON part is, before binary tensors.", "schema": COUNT},
    }
    found = place.schemas(schemas)("v2_answer", _answer(model))
    said = answer("The outputs.", content(JSON, found), raw(BINARY), headers=headers)
    return {"requestBodies": {name: asked}, "responses": {name: said}, "schemas": schemas}


def oip_paths(place: ModelPlace, others: Mapping[str, Json]) -> dict[str, Json]:
    """All of a version. `others` are the answers of workers besides those with status 200."""
    model, found = place.model, {}
    asked = any(map(_fits, model.signatures))
    for path in (f"{_ROOT}{each}" for each in place.paths(labels=False)):
        for below, name, text in _PAGES:
            said, parameters = content(JSON, schema(name)), _signatures(model)
            about = page(f"{text} {model.name}", model.name, others, said, parameters=parameters)
            found[f"{path}{below}"] = {"get": about}
        found[f"{path}/ready"] = {"get": _ready(model, f"Whether {model.name} can be asked")}
        stats = content(JSON, schema("OipStatistics"))
        found[f"{path}/stats"] = {"get": page(f"What {model.name} has computed", model.name, others, stats)}
        if asked:
            found[f"{path}/infer"] = {"post": _infer(place, others)}
    return found


def repository_paths(place: ModelPlace) -> dict[str, Json]:
    """What is asked of the repository for a model. Nothing is loaded or unloaded on request."""
    if not place.served.for_model:
        return {}
    model = place.model
    path = f"{_ROOT}/repository{place.paths()[0]}"
    empty = body(content(JSON, OBJECT), required=False)
    load = _ready(model, f"Whether {model.name} is loaded; no other model is", requestBody=empty)
    unload = operation(
        f"Says how {model.name} leaves a fleet", model.name, {}, PLAIN_ERRORS, requestBody=empty
    )
    return {f"{path}/load": {"post": load}, f"{path}/unload": {"post": unload}}


def _ready(model: ModelDescription, summary: str, **more: Any) -> Json:
    said = record({"name": STRING, "ready": {"const": True}})
    answers = {"200": answer("It can.", content(JSON, said)), "503": not_ready()}
    return operation(summary, model.name, answers, PLAIN_ERRORS, **more)


def _infer(place: ModelPlace, others: Mapping[str, Json]) -> Json:
    name, model = place.component("v2"), place.model
    length = {
        "name": JSON_LENGTH,
        "in": "header",
        "schema": COUNT,
        "description": "How long the JSON part of a binary body is; 0 for a tensor alone.",
    }
    return operation(
        f"Ask {model.name}",
        model.name,
        {"200": ref("responses", name)},
        others,
        parameters=[*_signatures(model), length, *CODED_PARAMETERS],
        requestBody=ref("requestBodies", name),
    )


def _signatures(model: ModelDescription) -> list[Json]:
    names = {"enum": [each.name for each in model.signatures]}
    return [query("signature", names, "Another signature than the default one.")] if model.signatures else []


def _fits(signature: SignatureDescription) -> bool:
    """Whether the protocol has datatypes for all that has to be sent."""
    return all(info.optional or info.dtype in DATATYPE_OF for info in signature.inputs)


def _request(model: ModelDescription, signature: SignatureDescription) -> Json:
    is_image = model.takes_images and signature.name == model.default_signature
    tensors = [each for info in signature.inputs for each in _inputs(info, is_image=is_image)]
    names = {"enum": [info.name for info in signature.outputs]} if signature.outputs else STRING
    output = record({"name": names, "parameters": OBJECT}, ["parameters"])
    members = {
        "id": STRING,
        "parameters": OBJECT,
        "inputs": list_of(any_of(*tensors)) if tensors else list_of({}, 0),
        "outputs": list_of(output),
    }
    return record(members, ["id", "parameters", "outputs"])


def _inputs(info: TensorDescription, *, is_image: bool) -> list[Json]:
    """The forms of an input. An image model takes the bytes of images, too."""
    kinds = {DATATYPE_OF.get(info.dtype, ""): info.dtype}
    if is_image:
        kinds[BYTES] = "string"
    return [
        record(
            {
                "name": {"const": info.name},
                "datatype": {"const": kind},
                "shape": _SIZES,
                "parameters": OBJECT,
                "data": list_of(_data(dtype)),
            },
            ["parameters"],
        )
        for kind, dtype in kinds.items()
        if kind
    ]


def _data(dtype: str) -> Json:
    return schema("Strings") if dtype == "string" else any_tensor(dtype)


def _answer(model: ModelDescription) -> Json:
    names = sorted({info.name for each in model.signatures for info in each.outputs})
    output = record(
        {
            "name": {"enum": names} if names and not model.takes_images else STRING,
            "datatype": {"enum": sorted(set(DATATYPE_OF.values()))},
            "shape": _SIZES,
            "parameters": OBJECT,
            "data": any_of(*(list_of({"type": kind}) for kind in ("number", "boolean", "string"))),
        },
        ["parameters", "data"],
    )
    members = {"model_name": STRING, "model_version": STRING, "id": STRING, "outputs": list_of(output)}
    return record(members, ["id"])


def _example(model: ModelDescription, signature: SignatureDescription) -> Json | None:
    """A request of one row; None where it would be long, or could not be written."""
    given = [info for info in signature.inputs if not info.optional]
    if not _fits(signature) or not signature.can_be_shown:
        return None
    if model.takes_images and signature.name == model.default_signature:
        if len(given) != 1:
            return None
        image = {"parameters": {"content_type": "base64"}, "data": [PIXEL_PNG]}
        return {"inputs": [{"name": given[0].name, "datatype": BYTES, "shape": [1], **image}]}
    if shown_values(given) > MOST_SHOWN:
        return None
    rows = takes_rows(given)
    return {"inputs": [_example_tensor(info, rows=rows) for info in given]}


def _example_tensor(info: TensorDescription, *, rows: bool) -> Json:
    dims = full_dims(info)
    shape = [1, *dims[1:]] if rows else list(dims)
    found: Json = {"name": info.name, "datatype": DATATYPE_OF[info.dtype], "shape": shape}
    value = sample(info.dtype)
    if info.tf_example is not None:
        found["parameters"], value = {"content_type": "base64"}, info.tf_example.b64
    return {**found, "data": [value] * math.prod(shape)}
