"""TensorFlow Serving's REST API in the document: the paths of a model below `/v1`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tfleet.contract.example_values import (
    MOST_SHOWN,
    full_dims,
    nested,
    shown_values,
    takes_rows,
    value_of,
)
from tfleet.contract.openapi.calls import CODED_HEADERS, CODED_PARAMETERS, PIXEL_PNG
from tfleet.contract.openapi.described import ModelDescription, SignatureDescription
from tfleet.contract.openapi.places import ModelPlace
from tfleet.contract.openapi.schemas import (
    JSON,
    PLAIN_ERRORS,
    STRING,
    Json,
    answer,
    any_of,
    any_tensor,
    body,
    content,
    has_json_form,
    list_of,
    operation,
    page,
    pair,
    record,
    ref,
    schema,
)
from tfleet.contract.tfs_paths import TfsAction

_ROOT: Final = "/v1"
_ACTIONS: Final = {TfsAction.CLASSIFY: "Classify", TfsAction.REGRESS: "Compute a value of"}


def tfs_components(place: ModelPlace) -> Json:
    """The body and the answer of a version's `:predict`."""
    model = place.model
    schemas: dict[str, Json] = {}
    requests, answers = [], []
    for each in model.signatures:
        named = place.schemas(schemas, each)
        requests += [named(part, form) for part, form in _requests(model, each).items()]
        answers += [named(part, form) for part, form in _answers(each).items()]
    examples = {name: value for each in model.signatures for name, value in _examples(model, each).items()}
    bodies = {
        place.component(f"v1_{action}"): _examples_body(model, found)
        for action in _ACTIONS
        if (found := _asked(model, action))
    }
    if not requests:
        return {"requestBodies": bodies}
    asked = body(content(JSON, any_of(*requests), examples))
    said = answer(
        "The outputs, in rows or as tensors.", content(JSON, any_of(*answers)), headers=CODED_HEADERS
    )
    return {
        "requestBodies": {place.component("v1"): asked, **bodies},
        "responses": {place.component("v1"): said},
        "schemas": schemas,
    }


def tfs_paths(place: ModelPlace, others: Mapping[str, Json]) -> dict[str, Json]:
    """All of a version. `others` are the answers of workers besides those with status 200."""
    model, found = place.model, {}
    asked = any(_requests(model, each) for each in model.signatures)
    for path in (f"{_ROOT}{each}" for each in place.paths()):
        status, metadata = content(JSON, schema("TfsStatus")), content(JSON, schema("TfsMetadata"))
        found[path] = {"get": page(f"The state of {model.name}'s versions", model.name, PLAIN_ERRORS, status)}
        found[f"{path}/metadata"] = {
            "get": page(f"The signatures of {model.name}", model.name, others, metadata)
        }
        if asked:
            name = place.component("v1")
            found[f"{path}:predict"] = {"post": _post(model, f"Ask {model.name}", name, name, others)}
        for action, does in _ACTIONS.items():
            if _asked(model, action):
                summary = f"{does} examples with a signature of {model.name} that parses tf.Example"
                said = f"Tfs{action.capitalize()}"
                about = _post(model, summary, place.component(f"v1_{action}"), said, others)
                found[f"{path}:{action}"] = {"post": about}
    return found


def _asked(model: ModelDescription, action: TfsAction) -> list[SignatureDescription]:
    """The signatures that `:classify` or `:regress` can ask."""
    classify = action is TfsAction.CLASSIFY
    return [each for each in model.signatures if (each.classifies if classify else each.regresses)]


def _examples_body(model: ModelDescription, signatures: Sequence[SignatureDescription]) -> Json:
    """The body of `:classify` or `:regress`, with an example for each signature whose features are known."""
    optional = ["context"]
    if any(each.name == model.default_signature for each in signatures):
        optional.append("signature_name")
    names = {"enum": [each.name for each in signatures]}
    features = schema("TfsFeatures")
    examples = {**list_of(features), "minItems": 1}
    found = record({"signature_name": names, "context": features, "examples": examples}, optional)
    shown = {}
    for each in signatures:
        example = each.inputs[0].tf_example
        if example is not None:
            name = {} if each.name == model.default_signature else {"signature_name": each.name}
            values = {feature: list(values) for feature, values in example.features}
            shown[f"{each.name} examples"] = {**name, "examples": [values]}
    return body(content(JSON, found, shown))


def tfs_server_paths() -> dict[str, Json]:
    """What is of no model."""
    said = answer("The names of the models.", content(JSON, record({"models": list_of(STRING)})))
    return {f"{_ROOT}/models": {"get": operation("List the models", "server", {"200": said}, PLAIN_ERRORS)}}


def _post(model: ModelDescription, summary: str, asked: str, said: str, others: Mapping[str, Json]) -> Json:
    return operation(
        summary,
        model.name,
        {"200": ref("responses", said)},
        others,
        parameters=CODED_PARAMETERS,
        requestBody=ref("requestBodies", asked),
    )


def _named(model: ModelDescription, signature: SignatureDescription) -> tuple[Json, list[str]]:
    """The member that names the signature, and whether it may be left out."""
    optional = ["signature_name"] if signature.name == model.default_signature else []
    return {"signature_name": {"const": signature.name}}, optional


def _requests(model: ModelDescription, signature: SignatureDescription) -> dict[str, Json]:
    """The bodies that run the signature, by their names. Some signatures take any shape: none is stated."""
    inputs = signature.inputs
    values = {info.name: any_tensor(info.dtype) for info in inputs}
    if model.takes_images and signature.name == model.default_signature:
        values = {name: any_of(value, schema("Texts")) for name, value in values.items()}
    if not values or not all(has_json_form(info.dtype) for info in inputs):
        return {}
    optional = [info.name for info in inputs if info.optional]
    alone = list(values.values()) if len(values) == 1 else []
    name, unnamed = _named(model, signature)
    # The rows are all objects, or none is.
    rows = any_of(*({**list_of(row), "minItems": 1} for row in (*alone, record(values, optional))))
    tensors = any_of(*alone, record(values, optional, closed=False))
    return {
        "v1_instances": record({**name, "instances": rows}, unnamed),
        "v1_inputs": record({**name, "inputs": tensors}, unnamed),
    }


def _answers(signature: SignatureDescription) -> dict[str, Json]:
    outputs = {info.name: any_tensor(info.dtype) for info in signature.outputs}
    value = next(iter(outputs.values())) if len(outputs) == 1 else record(outputs)
    return {
        "v1_predictions": record({"predictions": list_of(value)}),
        "v1_outputs": record({"outputs": value}),
    }


def _examples(model: ModelDescription, signature: SignatureDescription) -> dict[str, Any]:
    """Rows where the signature has them, and tensors."""
    given = [info for info in signature.inputs if not info.optional]
    name = {} if signature.name == model.default_signature else {"signature_name": signature.name}
    if model.takes_images and not name:
        return {"an image": {"instances": [{"b64": PIXEL_PNG}]}} if len(given) == 1 else {}
    in_json = all(has_json_form(info.dtype) for info in signature.inputs)
    shown = signature.can_be_shown and shown_values(given) <= MOST_SHOWN
    if not given or not in_json or not shown:
        return {}
    rows = takes_rows(given)
    shapes = {info.name: full_dims(info) for info in given}
    row = {info.name: nested(value_of(info), shapes[info.name][1:]) for info in given}
    if rows:
        shapes = {name: (1, *shape[1:]) for name, shape in shapes.items()}
    tensors = {info.name: nested(value_of(info), shapes[info.name]) for info in given}
    found: dict[str, Any] = {f"{signature.name} tensors": {**name, "inputs": tensors}}
    if rows:
        instance = row if len(row) > 1 else next(iter(row.values()))
        found[f"{signature.name} rows"] = {**name, "instances": [instance]}
    return found


def tfs_shared() -> Json:
    """The components of all models."""
    scalar = any_of({"type": "number"}, {"type": "boolean"}, schema("Text"))
    features = {
        "type": "object",
        "additionalProperties": any_of(scalar, list_of(scalar)),
        "description": "Features by name. The first value of each says its type.",
    }
    # Bytes that are no UTF-8 are in base64.
    classes = list_of(list_of(pair(schema("Text"))))
    return {
        "responses": {
            "TfsClassify": _results("Labels with their scores for each example.", classes),
            "TfsRegress": _results("A value for each example.", list_of({"type": "number"})),
        },
        "schemas": {"TfsFeatures": features, **_page_schemas()},
    }


def _results(description: str, found: Json) -> Json:
    return answer(description, content(JSON, record({"results": found})), headers=CODED_HEADERS)


def _page_schemas() -> Json:
    status = record({"error_code": STRING, "error_message": STRING})
    version = record(
        {
            "version": STRING,
            "state": {"enum": ["START", "LOADING", "AVAILABLE", "UNLOADING", "END"]},
            "status": status,
        }
    )
    dim = record({"size": STRING, "name": STRING})
    shape = record({"dim": list_of(dim), "unknown_rank": {"type": "boolean"}})
    tensor = record({"dtype": STRING, "tensor_shape": shape, "name": STRING})
    tensors = {"type": "object", "additionalProperties": tensor}
    definition = record(
        {"inputs": tensors, "outputs": tensors, "method_name": STRING, "defaults": {"type": "object"}}
    )
    definitions = record({"signature_def": {"type": "object", "additionalProperties": definition}})
    spec = record({"name": STRING, "signature_name": STRING, "version": STRING})
    image_input = {"type": "object", "additionalProperties": STRING}
    metadata = record({"signature_def": definitions, "image_input": image_input}, ["image_input"])
    return {
        "TfsStatus": record({"model_version_status": list_of(version), "ready": {"type": "boolean"}}),
        "TfsMetadata": record({"model_spec": spec, "metadata": metadata}),
    }
