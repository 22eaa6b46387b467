"""Requests that are refused: the status, and words of the error."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.worker_http import MAX_BODY_BYTES
from tests.worker.api.exchanges.infer_forms import LENGTH
from tests.worker.api.exchanges.model import NAME

_INFER: Final = f"/v2/models/{NAME}/infer"
_PREDICT: Final = f"/v1/models/{NAME}:predict"
_X: Final[Mapping[str, Any]] = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A body that is sent in each coding, unless its headers name one. `by_proxy`: a proxy refuses it by
    itself, with the same status and words of its own.
    """

    title: str
    path: str
    body: bytes
    status: int
    said: str
    headers: Mapping[str, str] = field(default_factory=dict)
    by_proxy: bool = False


def _infer(title: str, said: str, *inputs: Mapping[str, Any], query: str = "", **others: Any) -> Refusal:
    body = json.dumps({"inputs": inputs, **others}).encode()
    return Refusal(title, _INFER + query, body, 400, said)


def _binary(title: str, said: str, tail: bytes, length: int | str = 0, **members: Any) -> Refusal:
    """`length` is what the header is wrong by, or all of it."""
    sent = {
        "name": "x",
        "datatype": "FP32",
        "shape": [1, 3],
        "parameters": {"binary_data_size": 12},
        **members,
    }
    head = json.dumps({"inputs": [sent]}).encode()
    header = length if isinstance(length, str) else str(len(head) + length)
    return Refusal(title, _INFER, head + tail, 400, said, {LENGTH: header})


def _predict(title: str, body: str, said: str, status: int = 400, **others: Any) -> Refusal:
    return Refusal(title, _PREDICT, body.encode(), status, said, **others)


_GZIP: Final = {"Content-Encoding": "gzip"}
_BOMB: Final = gzip.compress(bytes(9 * MAX_BODY_BYTES))

REFUSALS: Final = (
    _infer("a datatype that is not the model's", "the model takes FP32", {**_X, "datatype": "FP64"}),
    _infer("a shape with too few values", "shape [2, 3] has 6", {**_X, "shape": [2, 3]}),
    _infer("a negative dimension", "shape has -1", {**_X, "shape": [-1, 3]}),
    _infer("a shape that is text", "send a list of sizes", {**_X, "shape": "-1"}),
    _infer("a dimension beyond 64 bits", "shape has", {**_X, "shape": [2**63, 3]}),
    _infer("null for a number", "null is no float32", {**_X, "data": [1, None, 3]}),
    _infer("text for a number", "is not a number", {**_X, "data": [1, "2", 3]}),
    _infer("an unknown input", "unknown to the model", {**_X, "name": "z"}),
    _infer("an input twice", "has 'x' twice", _X, _X),
    _infer("no input", "lacks 'x'"),
    _infer("an output twice", "has 'scores' twice", _X, outputs=[{"name": "scores"}, {"name": "scores"}]),
    _infer("an unknown output", "it has 'scores'", _X, outputs=[{"name": "y"}]),
    _infer("shared memory", "shared memory", {**_X, "parameters": {"shared_memory_region": "r"}}),
    _infer("a sequence", "keeps no sequences", _X, parameters={"sequence_id": 7}),
    _infer("an unknown signature", "it has ['serving_default'", _X, query="?signature=none"),
    _infer("a signature twice", "?signature= occurs 2 times", _X, query="?signature=a&signature=b"),
    _infer("an id that is no text", "id is 7", _X, id=7),
    _infer("an id that is not Unicode", "half of a surrogate pair", _X, id="\ud800"),
    _infer("a name that is not Unicode", "'\\ud800'", {**_X, "name": "\ud800"}),
    _infer("an output that is not Unicode", "'\\ud800'", _X, outputs=[{"name": "\ud800"}]),
    _infer(
        *("an integer out of range", "300 is out of range for uint8"),
        *({"name": "x", "datatype": "UINT8", "shape": [1], "data": [300]},),
        query="?signature=uint8",
    ),
    Refusal(
        "NaN that the model rejects",
        _INFER,
        json.dumps({"inputs": [{**_X, "data": [float("nan")] * 3}]}).encode(),
        400,
        "x is no number",
    ),
    Refusal("no JSON", _INFER, b"{", 400, "not JSON"),
    Refusal("no body", _INFER, b"", 400, "no body"),
    Refusal("a key twice", _INFER, b'{"id": "a", "id": "b", "inputs": []}', 400, "twice"),
    _binary("bytes that are missing", "8 bytes of the body are left", bytes(8)),
    _binary("bytes that are left over", "the binary part has 13 bytes", bytes(13)),
    _binary("a shape that has other bytes", "has 24 bytes, and 12 were sent", bytes(12), shape=[2, 3]),
    _binary("a negative size", "binary_data_size is -1", bytes(12), parameters={"binary_data_size": -1}),
    _binary("data and bytes", "has both", bytes(12), data=[1, 2, 3]),
    _binary("a length of JSON beyond the body", "the body has", bytes(12), "99999"),
    _binary("a length of JSON that is no number", "is 'soon'", bytes(12), "soon"),
    _binary("a length of JSON that is too short", "not JSON", bytes(12), -1),
    _binary("a raw body of another size", "the body has", bytes(12), "0"),
    Refusal("a coding that nobody reads", _INFER, b"{}", 415, "'br'", {"Content-Encoding": "br"}),
    Refusal("a body that is not gzip", _INFER, b'{"inputs": []}', 400, "not gzip", _GZIP),
    Refusal(
        "a gzip body that ends early", _INFER, gzip.compress(b'{"inputs": []}')[:-4], 400, "ends early", _GZIP
    ),
    Refusal(
        *("a body that is not deflate", _INFER, zlib.compress(b"{}")[2:], 400, "not deflate"),
        {"Content-Encoding": "deflate"},
    ),
    Refusal("a bomb", _INFER, _BOMB, 413, "larger than", _GZIP),
    Refusal(
        "a body over the limit", _INFER, b" " * (MAX_BODY_BYTES + 1), 413, "bytes", {"Content-Encoding": ""}
    ),
    Refusal("another model", "/v2/models/beer/infer", b"{}", 404, "types", by_proxy=True),
    Refusal("another version", f"/v2/models/{NAME}/versions/2/infer", b"{}", 404, "types", by_proxy=True),
    Refusal(
        "a deadline that is no number", _INFER, b"{}", 400, "milliseconds", {"X-Request-Timeout-Ms": "soon"}
    ),
    _predict("rows and columns", '{"instances": [1], "inputs": 1}', "exactly one of them"),
    _predict("neither rows nor columns", '{"signature_name": "pair"}', "exactly one of them"),
    _predict("no rows", '{"instances": []}', "an empty list"),
    _predict("rows that are no list", '{"instances": {"x": 1}}', "must be a list"),
    _predict(
        "a row without a name among others", '{"instances": [[1, 2, 3], {"x": 1}]}', "row 1 (the first is 0)"
    ),
    _predict("rows of different lengths", '{"instances": [[1, 2, 3], [4, 5]]}', "row 1 (the first is 0)"),
    _predict("text in a row of numbers", '{"instances": [["a", 2, 3]]}', "input 'x', row 0 (the first is 0)"),
    _predict("a bool in a row of numbers", '{"instances": [[true, 2, 3]]}', "true is not a number"),
    _predict(
        "rows of several inputs without names", '{"signature_name": "pair", "instances": [1]}', "'a', 'b'"
    ),
    _predict(
        "columns without one of the inputs", '{"signature_name": "pair", "inputs": {"a": 1}}', "lacks 'b'"
    ),
    _predict("an integer with a point", '{"signature_name": "int32", "instances": [1.0]}', "not an integer"),
    _predict("an integer beyond int8", '{"signature_name": "int8", "instances": [128]}', "(-128 to 127)"),
    _predict("bytes in no base64", '{"signature_name": "bytes", "instances": [{"b64": "_w=="}]}', "+ and /"),
    _predict("bytes for a number", '{"instances": [{"b64": "/w=="}]}', "is for strings"),
    _predict("NaN that is rejected", '{"instances": [[NaN, 1, 2]]}', "x is no number"),
    _predict("a signature that there is not", '{"signature_name": "x", "inputs": 4}', "'x'; it has"),
    _predict("a signature that is no text", '{"signature_name": 7, "inputs": 4}', "must be a string"),
    _predict(
        "a signature that is not Unicode", '{"signature_name": "\\ud800", "inputs": 4}', "no signature '"
    ),
    _predict("a name that is not Unicode in columns", '{"inputs": {"\\ud800": 4}}', "lacks 'x'"),
    _predict("a document that is a list", "[1]", "not an object"),
    _predict("no document", "", "is empty"),
    _predict("half a document", '{"inputs": ', "not JSON"),
    _predict("lists without end", '{"inputs": ' + "[" * 100_000, "not JSON"),
    _predict("a text as gzip", '{"inputs": 4}', "not gzip", headers=_GZIP),
    _predict(
        "a coding without a name here", '{"inputs": 4}', "'br'", 415, headers={"Content-Encoding": "br"}
    ),
    Refusal("a bomb of one column", _PREDICT, _BOMB, 413, "larger than", _GZIP),
    Refusal("no examples", f"/v1/models/{NAME}:classify", b'{"examples": []}', 400, "at least one example"),
    Refusal(
        *("examples for a signature of tensors", f"/v1/models/{NAME}:regress", b'{"examples": [{"a": 1}]}'),
        *(400, "use :predict"),
    ),
    Refusal("an unknown model", "/v1/models/beer:predict", b"{}", 404, "types", by_proxy=True),
    Refusal(
        "an unknown version", f"/v1/models/{NAME}/versions/2:predict", b"{}", 404, "types", by_proxy=True
    ),
    Refusal("an unknown label", f"/v1/models/{NAME}/labels/x:predict", b"{}", 400, "x", by_proxy=True),
    Refusal(
        "an unknown verb", f"/v1/models/{NAME}:explain", b"{}", 400, "Malformed request: POST", by_proxy=True
    ),
    Refusal(
        "a POST without a verb", f"/v1/models/{NAME}", b"{}", 400, "Malformed request: POST", by_proxy=True
    ),
)
