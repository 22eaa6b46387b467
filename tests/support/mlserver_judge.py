"""Asks a worker, and judges each of its answers with MLServer's own types and codecs; prints JSON.

    python mlserver_judge.py HOST:PORT MODEL pages|echo|image|waiting ...
    python mlserver_judge.py documents FILE

It runs in an environment of its own (client_environments.py), so it imports nothing of this repository.

An answer passes if MLServer's type reads it without converting anything, and writes the same document
again: so there is no key that it does not know, and none is null. MLServer's types are patched where they
differ from the protocol (https://github.com/kserve/open-inference-protocol):

- It has no BF16.
- It has no binary tensors, an extension: with it, an output has `binary_data_size` instead of `data`.
- It lets an error come without its text.
- It has no types for health and readiness, of which the protocol says only the status. They are written here.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from mlserver import types
from mlserver.codecs import Base64Codec, NumpyCodec, StringCodec
from mlserver.types.base import BaseModel
from pydantic import ConfigDict, Field, RootModel, model_validator

JSON_LENGTH = "Inference-Header-Content-Length"
NUMBERS = {
    "uint8": [0, 255],
    "uint16": [1, 65_535],
    "uint32": [1, 2**32 - 1],
    "uint64": [2**53 + 1, 2**64 - 1],
    "int8": [-128, 127],
    "int16": [-32_768, 1],
    "int32": [-(2**31), 1],
    "int64": [-(2**63), 2**53 + 1],
    "float16": [0.1, -2.0],
    "float32": [0.1, 16_777_216.0],
    "float64": [0.1, 1e300],
}
ROWS = {name: np.array([values], name) for name, values in NUMBERS.items()}
ROWS["bool"] = np.array([[True, False]])
TEXT = ["h\u00e9", "a:b"]
BYTES = [b"\xff\x00", b"a"]
_FLOAT64 = list(ROWS).index("float64")
BRAIN = {"name": "bfloat16", "datatype": "BF16", "shape": [1, 2], "data": [1.5, -2.0]}


class Output(types.ResponseOutput):
    """One output, its data in JSON or behind it."""

    datatype: types.Datatype | Literal["BF16"]
    data: types.TensorData | None = None

    @model_validator(mode="after")
    def has_data_once(self) -> Output:
        size = getattr(self.parameters, "binary_data_size", None)
        if (self.data is None) == (type(size) is not int):
            raise ValueError(f"{self.name} has to have either data or binary_data_size")
        return self


class Answer(types.InferenceResponse):
    outputs: list[Output]


class Tensor(types.MetadataTensor):
    datatype: types.Datatype | Literal["BF16"]


class Metadata(types.MetadataModelResponse):
    inputs: list[Tensor]
    outputs: list[Tensor]


class Failure(types.InferenceErrorResponse):
    """An error, with what clients of other servers read of it."""

    model_config = ConfigDict(extra="forbid")
    error: str = Field(min_length=1)
    detail: str
    title: str
    status: int
    success: Literal[False]


class Live(BaseModel):
    live: Literal[True]


class ServerReady(Live):
    ready: Literal[True]


class ModelReady(BaseModel):
    name: str
    ready: Literal[True]


class NotReady(BaseModel):
    """Readiness at 503, which is an error as well."""

    name: str | None = None
    live: Literal[True] | None = None
    ready: Literal[False]
    error: str = Field(min_length=1)
    detail: str
    title: str
    status: Literal[503]
    success: Literal[False]


KINDS: dict[str, type[BaseModel]] = {
    "server": types.MetadataServerResponse,
    "metadata": Metadata,
    "answer": Answer,
    "index": types.RepositoryIndexResponse,
    "error": Failure,
    "live": Live,
    "server ready": ServerReady,
    "model ready": ModelReady,
    "not ready": NotReady,
}


def judged(kind: str, text: bytes | str) -> Any:
    """The document as MLServer's type has it. Raises ValueError that says what is wrong with it."""
    found = KINDS[kind].model_validate_json(text, strict=True)
    again = found.root if isinstance(found, RootModel) else found
    parts = [each.model_dump() for each in again] if isinstance(again, list) else again.model_dump()
    read, written = (json.dumps(each, sort_keys=True) for each in (json.loads(text), parts))
    if read != written:
        raise ValueError(f"{kind}: MLServer's type reads {written}, and not {read}")
    return found


class Worker:
    """Asks a worker, and judges what it answers. `complaints` has what is wrong."""

    def __init__(self, address: str, model: str) -> None:
        self._root = f"http://{address}/v2"
        self._model = f"/models/{model}"
        self.complaints: list[str] = []
        self.judged = 0
        self.said: list[str] = []

    def ask(self, kind: str, path: str, body: bytes | None = None, status: int = 200, **headers: str) -> Any:
        """An answer to GET, or to POST with a body, and what of it is behind its JSON.

        `MODEL` in the path becomes `/models/NAME`.
        """
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(
            self._root + path.replace("MODEL", self._model), data=body, headers=sent
        )
        try:
            answer = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            content, found = answer.read(), answer.headers
        length = int(found.get(JSON_LENGTH, len(content)))
        wanted = "application/json" if JSON_LENGTH not in found else "application/octet-stream"
        self._check(path, (answer.status, found["Content-Type"]) == (status, wanted), found)
        self.judged += 1
        try:
            return judged(kind, content[:length]), content[length:]
        except ValueError as error:
            self.complaints.append(f"{path}: {error}: {content[:length]!r}")
            return None, b""

    def _check(self, path: str, right: bool, said: object) -> None:
        if not right:
            self.complaints.append(f"{path}: {said}")

    def infer(self, inputs: list[Any], **others: Any) -> tuple[dict[str, Any], bytes]:
        """The outputs by name. `inputs` are MLServer's, or JSON."""
        parts = [each if isinstance(each, dict) else each.model_dump(mode="json") for each in inputs]
        body = json.dumps({"inputs": parts, **others}).encode()
        answer, tail = self.ask("answer", "MODEL/infer", body)
        outputs = {} if answer is None else {each.name: each for each in answer.outputs}
        return outputs, tail

    def expect(self, what: str, found: Any, wanted: Any) -> None:
        self._check(what, repr(found) == repr(wanted), f"{found!r} and not {wanted!r}")


def ask_pages(worker: Worker) -> None:
    """Everything that needs no tensors."""
    worker.ask("server", "")
    worker.ask("live", "/health/live")
    worker.ask("server ready", "/health/ready")
    for path in ("MODEL", "MODEL/versions/1"):
        worker.ask("metadata", path)
        worker.ask("model ready", f"{path}/ready")
    for body in (b"", b'{"ready": true}'):
        worker.ask("index", "/repository/index", body)
    worker.ask("model ready", "/repositoryMODEL/load", b"")
    worker.ask("error", "/repositoryMODEL/unload", b"", 400)
    for path in ("/models/beer", "/models/beer/ready", "MODEL/versions/9", "/nothing"):
        worker.ask("error", path, status=404)
    worker.ask("error", "MODEL/infer", status=405)
    for body in (b"", b"{", b'{"inputs": []}'):
        worker.ask("error", "MODEL/infer", body, 400)
    worker.ask("error", "MODEL/infer", b"{}", 415, Content_Encoding="br")


def inputs_of_all_types() -> list[Any]:
    """One of each datatype, as MLServer's codecs write them."""
    found: list[Any] = [NumpyCodec.encode_input(name, array) for name, array in ROWS.items()]
    text = StringCodec.encode_input("string", TEXT, use_bytes=False)
    text.shape = [1, 2]
    return [*found, text, BRAIN]


def numbers(output: Any) -> Any:
    """An output's values, as MLServer's codec reads them."""
    return NumpyCodec.decode_output(output).reshape(-1).tolist()


def ask_echo(worker: Worker) -> None:
    """Tensors of all datatypes, in JSON and behind it, as text, as bytes and as classes."""
    sent = inputs_of_all_types()
    found, _ = worker.infer(sent, id="42")
    for name, array in ROWS.items():
        worker.expect(name, numbers(found[name]), array.reshape(-1).tolist())
    worker.expect("text", StringCodec.decode_output(found["string"]), TEXT)
    worker.expect("BF16", found["bfloat16"].data.root, BRAIN["data"])
    no_numbers = {**sent[_FLOAT64].model_dump(), "data": [np.nan, -np.inf]}
    found, _ = worker.infer([no_numbers if each is sent[_FLOAT64] else each for each in sent])
    worker.expect("no numbers", numbers(found["float64"]), [np.nan, -np.inf])
    _ask_bytes(worker, sent)
    _ask_binary(worker, sent)
    classes = [{"name": "float32", "parameters": {"classification": 2}}]
    found, _ = worker.infer(sent, outputs=classes)
    worker.expect("classes", StringCodec.decode_output(found["float32"]), ["16777216.0:1", "0.1:0"])


def _ask_bytes(worker: Worker, sent: list[Any]) -> None:
    coded = Base64Codec.encode_input("string", BYTES, use_bytes=False)
    coded.shape = [1, 2]
    words = [each for each in sent if getattr(each, "name", "") != "string"]
    found, _ = worker.infer([*words, coded], outputs=[{"name": "string"}])
    worker.expect("type of bytes", found["string"].parameters.content_type, Base64Codec.ContentType)
    worker.expect("bytes", Base64Codec.decode_output(found["string"]), BYTES)


def _ask_binary(worker: Worker, sent: list[Any]) -> None:
    found, tail = worker.infer(sent, parameters={"binary_data_output": True})
    for name, output in found.items():
        size = output.parameters.binary_data_size
        part, tail = tail[:size], tail[size:]
        if name in ROWS:
            worker.expect(f"{name} in bytes", part, ROWS[name].tobytes())
    worker.expect("what is left", tail, b"")
    mixed = [{"name": "int8", "parameters": {"binary_data": True}}, {"name": "bool"}]
    found, tail = worker.infer(sent, outputs=mixed)
    worker.expect("one of two in bytes", (tail, found["bool"].data.root), (b"\x80\x7f", [True, False]))


def ask_image(worker: Worker, photo: str) -> None:
    """The three best classes of a photo, sent as MLServer's codec for bytes writes it."""
    metadata, _ = worker.ask("metadata", "MODEL")
    sent = Base64Codec.encode_input(metadata.inputs[0].name, [Path(photo).read_bytes()], use_bytes=False)
    classes = [{"name": metadata.outputs[0].name, "parameters": {"classification": 3}}]
    found, _ = worker.infer([sent], outputs=classes)
    (output,) = found.values()
    worker.said = StringCodec.decode_output(output)


def ask_waiting(worker: Worker) -> None:
    """A worker that has no model yet."""
    worker.ask("live", "/health/live")
    worker.ask("index", "/repository/index", b"")
    for path in ("/health/ready", "MODEL/ready"):
        worker.ask("not ready", path, status=503)
    worker.ask("error", "MODEL", status=503)
    worker.ask("error", "MODEL/infer", b"{}", 503)


def judge_documents(path: str) -> list[bool]:
    """Whether each document passes, of a list of kinds and documents in a file."""
    found = []
    for kind, text in json.loads(Path(path).read_text()):
        try:
            judged(kind, text)
        except ValueError:
            found.append(False)
        else:
            found.append(True)
    return found


def main(first: str, second: str, what: str = "", *rest: str) -> None:
    if first == "documents":
        print(json.dumps(judge_documents(second)))
        return
    worker = Worker(first, second)
    asks: dict[str, Callable[..., None]] = {
        "pages": ask_pages,
        "echo": ask_echo,
        "image": ask_image,
        "waiting": ask_waiting,
    }
    asks[what](worker, *rest)
    print(json.dumps({"complaints": worker.complaints, "judged": worker.judged, "said": worker.said}))


if __name__ == "__main__":
    main(*sys.argv[1:])
