"""Models for tests of the OpenAPI document."""

from __future__ import annotations

from typing import Final

from tfleet.contract.example_values import ShownExample
from tfleet.contract.openapi.described import ModelDescription, SignatureDescription, TensorDescription
from tfleet.contract.openapi.document import LeftOut, ServerDescription
from tfleet.contract.openapi.pages import worker_pages

Tensor = TensorDescription
DEFAULT: Final = "serving_default"
TABLE: Final = ModelDescription(
    "wine",
    "1",
    "table",
    DEFAULT,
    (
        SignatureDescription("double", (Tensor("x", "float64", ()),), (Tensor("y", "float64", ()),)),
        SignatureDescription(
            DEFAULT,
            (
                Tensor("G1", "float32", (None,)),
                Tensor("G2", "int64", (None, 1)),
                Tensor("G3", "bool", (None,), True),
            ),
            (Tensor("score", "float32", (None, 1)),),
        ),
    ),
)
IMAGE: Final = ModelDescription(
    "lite0",
    "1",
    "image",
    DEFAULT,
    (
        SignatureDescription(
            DEFAULT,
            (Tensor("image", "float32", (None, 224, 224, 3)),),
            (Tensor("p", "float32", (None, 1000)),),
            embedding=1280,
        ),
    ),
    classes=1000,
)
IRIS: Final = ModelDescription(
    "iris",
    "7",
    "table",
    DEFAULT,
    (
        SignatureDescription(
            DEFAULT, (Tensor("x", "float32", (None, 2)),), (Tensor("p", "float32", (None, 3)),)
        ),
    ),
    classes=3,
    columns=("length", "width"),
)
ODD: Final = ModelDescription(
    "a/b {c}?#:%",
    "v 1",
    "tensors",
    None,
    (
        SignatureDescription("", (), (Tensor("y", "complex64", None),)),
        SignatureDescription("a b", (Tensor("x", "string", None),), (Tensor("y", "string", (None, None)),)),
        SignatureDescription("a_b", (Tensor("x", "float8_e5m2", (2, 0)),), ()),
        SignatureDescription("a/b", (Tensor("x", "uint64", (None, 2, 2)),), (Tensor("y", "bfloat16", ()),)),
    ),
    left_out=2,
)
_PARSED: Final = (Tensor("inputs", "string", None, tf_example=ShownExample((("age", (1, 1)),), "CgA=")),)
_UNKNOWN: Final = (Tensor("inputs", "string", (None,)),)
ADS: Final = ModelDescription(
    "ads",
    "1",
    "tensors",
    DEFAULT,
    (
        SignatureDescription(DEFAULT, _PARSED, (Tensor("outputs", "float32", (None, 1)),)),
        SignatureDescription(
            "classes", _PARSED, (Tensor("classes", "string", None), Tensor("scores", "float32", (None, 2)))
        ),
        SignatureDescription("unknown", _UNKNOWN, (Tensor("scores", "float32", None),)),
        SignatureDescription("text", _UNKNOWN, (Tensor("outputs", "float32", (None, 128)),)),
    ),
)
EVERY: Final = (TABLE, IMAGE, IRIS, ODD, ADS)


def server(*left_out: LeftOut, redirects: bool = False) -> ServerDescription:
    """A worker that serves any of them."""
    return ServerDescription("A worker.", "1.0", worker_pages(), redirects, left_out=left_out)
