"""The native paths of a model, `/models/NAME...`, and those that name none. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from tfleet.contract.names import CLASSIFY_PATHS, EMBED_PATH, PREDICT_PATH
from tfleet.contract.openapi.calls import PARAMETERS, query
from tfleet.contract.openapi.described import SignatureDescription
from tfleet.contract.openapi.native_bodies import (
    input_body,
    is_image,
    outputs_answer,
    plain_columns,
    top_parameter,
    vector_answer,
)
from tfleet.contract.openapi.places import ModelPlace
from tfleet.contract.openapi.schemas import (
    JSON,
    STRING,
    Json,
    content,
    operation,
    page,
    ref,
    schema,
    value_schema,
)


def native_components(place: ModelPlace) -> Json:
    """The bodies and answers of a version's signatures."""
    model, bodies, answers = place.model, {}, {}
    schemas: dict[str, Json] = {}
    for signature in model.signatures:
        if not is_image(model, signature):
            named = place.schemas(schemas, signature)
            bodies[place.component("input", signature)] = input_body(model, signature, named)
            answers[place.component("answer", signature)] = outputs_answer(model, signature, named)
    if model.embedding:
        answers[place.component("vector")] = vector_answer(model)
    return {"requestBodies": bodies, "responses": answers, "schemas": schemas}


def native_paths(place: ModelPlace, others: Mapping[str, Json]) -> dict[str, Json]:
    """All of a version. `others` are the answers besides those with status 200."""
    model = place.model
    found: dict[str, Json] = {}
    for path in place.paths():
        about = content(JSON, schema("ModelPage"))
        found[path] = {"get": page(f"What {model.name} takes and answers", model.name, others, about)}
        if model.default is not None:
            found[path]["post"] = _post(place, model.default, others, pairs=True)
            found[f"{path}{PREDICT_PATH}"] = _predict(place, model.default, others)
        if model.embedding:
            found[f"{path}{EMBED_PATH}"] = _embed(place, others)
        for signature in model.signatures:
            named = f"{path}/signatures/{quote(signature.name, safe='')}"
            summary = f"What the signature {signature.name} takes and answers"
            about = page(summary, model.name, others, content(JSON, schema("SignaturePage")))
            found[named] = {"get": about, "post": _post(place, signature, others, pairs=True)}
            found[f"{named}{PREDICT_PATH}"] = _predict(place, signature, others)
    return found


def unnamed_paths(place: ModelPlace, others: Mapping[str, Json]) -> dict[str, Json]:
    """`POST /`, `/predict` and `/embed`, which name no model and are answered by this one."""
    model = place.model
    if not place.served.for_all or model.default is None:
        return {}
    front, predict = CLASSIFY_PATHS
    found = {predict: _predict(place, model.default, others)}
    if model.embedding:
        found[EMBED_PATH] = _embed(place, others)
    if model.takes_images:
        found[front] = {"post": _post(place, model.default, others, pairs=True)}
    return found


def _predict(place: ModelPlace, signature: SignatureDescription, others: Mapping[str, Json]) -> Json:
    """A path that ends in `/predict`: `POST`, and `GET` for a row that fits into a query."""
    found = {"post": _post(place, signature, others, pairs=False)}
    columns = None if is_image(place.model, signature) else plain_columns(place.model, signature)
    if columns:
        parameters = [query(name, _cell(dtype), required=True) for name, dtype in columns.items()]
        found["get"] = operation(
            f"Ask {place.model.name} with one row in the query",
            place.model.name,
            {"200": ref("responses", place.component("answer", signature))},
            others,
            parameters=[*parameters, *top_parameter(place.model, signature), *PARAMETERS],
        )
    return found


def _embed(place: ModelPlace, others: Mapping[str, Json]) -> Json:
    """A path that ends in `/embed`."""
    name = place.model.name
    return {
        "post": operation(
            f"The vector of an image, by {name}",
            name,
            {"200": ref("responses", place.component("vector"))},
            others,
            parameters=PARAMETERS,
            requestBody=ref("requestBodies", "Image"),
        )
    }


def _post(
    place: ModelPlace, signature: SignatureDescription, others: Mapping[str, Json], *, pairs: bool
) -> Json:
    model = place.model
    if is_image(model, signature):
        asked, answers = "Image", "Ranking" if pairs else "Labels"
        summary = f"Classify an image with {model.name}"
    else:
        asked, answers = place.component("input", signature), place.component("answer", signature)
        summary = f"Ask {model.name}, signature {signature.name}"
    return operation(
        summary,
        model.name,
        {"200": ref("responses", answers)},
        others,
        parameters=[*top_parameter(model, signature), *PARAMETERS],
        requestBody=ref("requestBodies", asked),
    )


def _cell(dtype: str) -> Json:
    return STRING if dtype == "string" else value_schema(dtype)
