"""An inference of the Open Inference Protocol, and all forms in which it can be sent and answered."""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.worker.api.exchanges.datatypes import Values
from tests.worker.api.exchanges.model import NAME
from tfleet.worker.api.protocols.accept_encoding import LEAST_BYTES

LENGTH: Final = "Inference-Header-Content-Length"
CODINGS: Final = ("", "gzip", "deflate")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a request or of an answer."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Values


@dataclass(frozen=True, slots=True)
class Asked:
    """An output that a request names; `binary` is None where it is as the request says for all."""

    name: str
    binary: bool | None = None
    classes: int = 0


@dataclass(frozen=True, slots=True)
class Inference:
    """What a signature is asked, and what it answers. `raw`: the request may have no JSON part."""

    title: str
    signature: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    asked: tuple[Asked, ...] = ()
    id: str | None = None
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """How a request is sent (json, binary, raw), and how its answer is wanted (json, binary)."""

    sent: str
    sent_coding: str
    answered: str
    answered_coding: str


@dataclass(frozen=True, slots=True)
class Message:
    """A body, and its headers."""

    body: bytes
    headers: dict[str, str]


def forms_of(inference: Inference) -> Iterator[Form]:
    """Every form; a raw request is always answered in binary."""
    pairs = [*itertools.product(("json", "binary"), ("json", "binary"))]
    if inference.raw:
        pairs.append(("raw", "binary"))
    for (sent, answered), sent_coding, answered_coding in itertools.product(pairs, CODINGS, CODINGS):
        yield Form(sent, sent_coding, answered, answered_coding)


def request_of(inference: Inference, form: Form) -> Message:
    """What a client sends."""
    headers = {}
    body = b"".join(each.values.packed for each in inference.inputs)
    if form.sent == "raw":
        headers[LENGTH] = "0"
    else:
        head = _head(inference, form)
        if form.sent == "binary":
            headers[LENGTH] = str(len(head))
        body = head + body if form.sent == "binary" else head
    if form.sent_coding:
        headers["Content-Encoding"] = form.sent_coding
    if form.answered_coding:
        headers["Accept-Encoding"] = form.answered_coding
    return Message(packed_as(form.sent_coding, body), headers)


def answer_to(inference: Inference, form: Form) -> Message:
    """What the worker answers, before it is compressed, and the headers that say how to read it."""
    named = {each.name: each.binary for each in inference.asked if each.binary is not None}
    described, tail, has_binary = [], b"", False
    for each in inference.outputs:
        binary = named.get(each.name, form.answered == "binary")
        has_binary = has_binary or binary
        if binary:
            tail += each.values.packed
        described.append(_described(each, len(each.values.packed) if binary else None))
    members = {"model_name": NAME, "model_version": "1", "id": inference.id}
    start = _compact({key: value for key, value in members.items() if value is not None})[:-1]
    head = f'{start},"outputs":[{",".join(described)}]}}'.encode()
    headers = {"Content-Type": "application/octet-stream" if has_binary else "application/json"}
    if has_binary:
        headers[LENGTH] = str(len(head))
    if form.answered_coding and len(head + tail) >= LEAST_BYTES:
        headers["Content-Encoding"] = form.answered_coding
    return Message(head + tail, headers)


def packed_as(coding: str, body: bytes) -> bytes:
    """The body in gzip, deflate or as it is."""
    if coding == "gzip":
        return gzip.compress(body, mtime=0)
    return zlib.compress(body) if coding == "deflate" else body


def unpacked(coding: str | None, body: bytes) -> bytes:
    """The body of an answer with this Content-Encoding."""
    if coding == "gzip":
        return gzip.decompress(body)
    return zlib.decompress(body) if coding == "deflate" else body


def _head(inference: Inference, form: Form) -> bytes:
    """The JSON part. Its values are written here as text, since Python's json would change some."""
    inputs = ", ".join(_input(each, binary=form.sent == "binary") for each in inference.inputs)
    others: dict[str, Any] = {"parameters": {"binary_data_output": form.answered == "binary"}}
    if inference.id is not None:
        others["id"] = inference.id
    if inference.asked:
        others["outputs"] = [_asked(each) for each in inference.asked]
    return f'{json.dumps(others)[:-1]}, "inputs": [{inputs}]}}'.encode()


def _input(tensor: Tensor, *, binary: bool) -> str:
    members: dict[str, Any] = {"name": tensor.name, "shape": tensor.shape, "datatype": tensor.datatype}
    if binary:
        return json.dumps({**members, "parameters": {"binary_data_size": len(tensor.values.packed)}})
    if tensor.values.base64:
        members["parameters"] = {"content_type": "base64"}
    return f'{json.dumps(members)[:-1]}, "data": {tensor.values.json}}}'


def _asked(asked: Asked) -> dict[str, Any]:
    parameters: dict[str, Any] = {} if asked.binary is None else {"binary_data": asked.binary}
    if asked.classes:
        parameters["classification"] = asked.classes
    return {"name": asked.name, "parameters": parameters} if parameters else {"name": asked.name}


def _described(tensor: Tensor, binary_bytes: int | None) -> str:
    members: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
    if binary_bytes is not None:
        return _compact({**members, "parameters": {"binary_data_size": binary_bytes}})
    if tensor.values.base64:
        members["parameters"] = {"content_type": "base64"}
    return f'{_compact(members)[:-1]},"data":{tensor.values.json}}}'


def _compact(members: dict[str, Any]) -> str:
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False)
