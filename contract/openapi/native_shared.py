"""What the native paths of all models share: images, labels, and pages that describe a model. Pure."""

from __future__ import annotations

from typing import Final

from tfleet.contract.names import IMAGE_FIELDS
from tfleet.contract.openapi.calls import ANSWER_HEADERS, PIXEL_PNG
from tfleet.contract.openapi.schemas import (
    JSON,
    STRING,
    Json,
    answer,
    any_of,
    body,
    content,
    list_of,
    pair,
    raw,
    record,
    schema,
)

_B64_IMAGE: Final[Json] = {"type": "string", "description": "An image in base64, or a data: URL with one."}
_SCORES: Final = ("probability", "score")
"""What is no probability is called score."""


def native_shared() -> Json:
    """The components of all models: images, labels and the pages that describe a model."""
    field = {"type": "string", "contentMediaType": "application/octet-stream"}
    form = {"type": "object", "properties": dict.fromkeys(IMAGE_FIELDS, field), "minProperties": 1}
    in_json = any_of(_B64_IMAGE, record({"b64": {"type": "string", "contentEncoding": "base64"}}))
    document = {**record(dict.fromkeys(IMAGE_FIELDS, in_json), IMAGE_FIELDS), "minProperties": 1}
    example = {IMAGE_FIELDS[-1]: {"b64": PIXEL_PNG}}
    scored = [record({"label": STRING, kind: {"type": "number"}}) for kind in _SCORES]
    labels = list_of(any_of(*scored))
    predictions = any_of(labels, list_of(labels))
    said = content(JSON, schema("LabelAnswer"))
    return {
        "requestBodies": {
            "Image": body(
                {"multipart/form-data": {"schema": form}},
                raw("image/*"),
                content(JSON, document, {"base64": example}),
            )
        },
        "responses": {
            "Ranking": answer(
                "Labels with their scores, best first.",
                content(JSON, list_of(pair(STRING))),
                headers=ANSWER_HEADERS,
            ),
            "Labels": answer("Labels with their scores, best first.", said, headers=ANSWER_HEADERS),
            "Redirect": answer(
                "A worker takes the request: send it to the address in Location.",
                headers={"Location": {"schema": {"type": "string", "format": "uri"}}},
            ),
        },
        "schemas": {
            "LabelAnswer": record({"success": {"const": True}, "predictions": predictions}),
            **_page_schemas(),
        },
    }


def _page_schemas() -> Json:
    sizes = list_of({"type": ["integer", "null"]})
    shape = {"anyOf": [sizes, {"type": "null"}], "description": "null is a size or a rank of any kind"}
    values = list_of({"type": ["number", "string"]})
    features = {"type": "object", "additionalProperties": values}
    example = {
        **record({"features": features, "b64": STRING}),
        "description": "A made-up tf.Example that the input takes, and its message in base64.",
    }
    members = {"dtype": STRING, "shape": shape, "optional": {"type": "boolean"}, "tf_example": example}
    tensor = record(members, ["optional", "tf_example"])
    tensors = {"type": "object", "additionalProperties": tensor}
    maybe = {"type": ["string", "null"]}
    signature: dict[str, Json] = {
        "inputs": tensors,
        "outputs": tensors,
        "method": maybe,
        "stateful": {"type": "boolean"},
        "example": STRING,
    }
    names = {"anyOf": [list_of(STRING), {"type": "null"}]}
    page: dict[str, Json] = {
        "name": STRING,
        "version": STRING,
        "state": {"enum": ["starting", "ready", "draining"]},
        "kind": STRING,
        "stateful": {"type": "boolean"},
        "default_signature": maybe,
        "labels": names,
        "columns": names,
        "preprocessing": {"type": ["object", "null"]},
        "embedding": {"anyOf": [record({"size": {"type": "integer"}, "space": STRING}), {"type": "null"}]},
        "sources": {"type": "object", "additionalProperties": STRING},
        "signatures": {"type": "object", "additionalProperties": schema("SignaturePage")},
        "example": STRING,
    }
    return {
        "SignaturePage": record(signature, closed=False),
        "ModelPage": record(page, ["embedding"], closed=False),
    }
