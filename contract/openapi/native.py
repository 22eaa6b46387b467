"""The native paths of a model, `/models/NAME...`, and those that name none. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from tfleet.contract.names import CLASSIFY_PATHS, PREDICT_PATH
from tfleet.contract.openapi.calls import PARAMETERS, query
from tfleet.contract.openapi.described import ModelDescription, SignatureDescription
from tfleet.contract.openapi.native_bodies import (
    input_body,
    is_image,
    outputs_answer,
    plain_columns,
    top_parameter,
)
from tfleet.contract.openapi.places import ModelPlace
from tfleet.contract.openapi.schemas import (
    JSON,
    PROBLEMS,
    Json,
    answer,
    content,
    operation,
    ref,
    schema,
    value_schema,
)

_REDIRECT: Final = {"307": ref("responses", "Redirect")}


def native_components(place: ModelPlace) -> Json:
    """The bodies and answers of a version's signatures."""
    model, bodies, answers = place.model, {}, {}
    for signature in model.signatures:
        key = place.signature_key(signature)
        if not is_image(model, signature):
            bodies[place.component(key, "input")] = input_body(model, signature)
            answers[place.component(key, "answer")] = outputs_answer(model, signature)
    return {"requestBodies": bodies, "responses": answers}


def native_paths(place: ModelPlace, *, redirects: bool) -> dict[str, Json]:
    """All of a version. `redirects`: predictions may be answered with a redirect to a worker."""
    model, errors = place.model, {**(_REDIRECT if redirects else {}), **PROBLEMS}
    found: dict[str, Json] = {}
    for path in place.paths():
        found[path] = {"get": _page(model, "ModelPage", f"What {model.name} takes and answers")}
        if model.default is not None:
            found[path]["post"] = _post(place, model.default, errors, pairs=True)
            found[f"{path}{PREDICT_PATH}"] = _predict(place, model.default, errors)
        for signature in model.signatures:
            named = f"{path}/signatures/{quote(signature.name, safe='')}"
            page = _page(model, "SignaturePage", f"What the signature {signature.name} takes and answers")
            found[named] = {"get": page, "post": _post(place, signature, errors, pairs=True)}
            found[f"{named}{PREDICT_PATH}"] = _predict(place, signature, errors)
    return found


def unnamed_paths(place: ModelPlace, *, redirects: bool) -> dict[str, Json]:
    """`POST /` and `/predict`, which name no model and are answered by this one."""
    model, errors = place.model, {**(_REDIRECT if redirects else {}), **PROBLEMS}
    if not place.served.for_all or model.default is None:
        return {}
    front, predict = CLASSIFY_PATHS
    found = {predict: _predict(place, model.default, errors)}
    if model.takes_images:
        found[front] = {"post": _post(place, model.default, errors, pairs=True)}
    return found


def _page(model: ModelDescription, name: str, summary: str) -> Json:
    answers = {"200": answer("The page.", content(JSON, schema(name)))}
    return operation(summary, model.name, answers, PROBLEMS)


def _predict(place: ModelPlace, signature: SignatureDescription, errors: Mapping[str, Json]) -> Json:
    """A path that ends in `/predict`: `POST`, and `GET` for a row that fits into a query."""
    found = {"post": _post(place, signature, errors, pairs=False)}
    columns = None if is_image(place.model, signature) else plain_columns(place.model, signature)
    if columns:
        parameters = [query(name, _cell(dtype), required=True) for name, dtype in columns.items()]
        found["get"] = operation(
            f"Ask {place.model.name} with one row in the query",
            place.model.name,
            {"200": ref("responses", place.component(place.signature_key(signature), "answer"))},
            errors,
            parameters=[*parameters, *top_parameter(place.model, signature), *PARAMETERS],
        )
    return found


def _post(
    place: ModelPlace, signature: SignatureDescription, errors: Mapping[str, Json], *, pairs: bool
) -> Json:
    model = place.model
    if is_image(model, signature):
        asked, answers = "Image", "Ranking" if pairs else "Labels"
        summary = f"Classify an image with {model.name}"
    else:
        key = place.signature_key(signature)
        asked, answers = place.component(key, "input"), place.component(key, "answer")
        summary = f"Ask {model.name}, signature {signature.name}"
    return operation(
        summary,
        model.name,
        {"200": ref("responses", answers)},
        errors,
        parameters=[*top_parameter(model, signature), *PARAMETERS],
        requestBody=ref("requestBodies", asked),
    )


def _cell(dtype: str) -> Json:
    return {"type": "string"} if dtype == "string" else value_schema(dtype)
