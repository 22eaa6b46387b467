"""Good requests below /v1 and /v2, and damaged ones: in bytes, JSON, compression or headers."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.support.pictures import picture
from tests.worker.api.exchanges.datatypes import strings
from tests.worker.api.exchanges.infer_forms import LENGTH, answer_to, forms_of, packed_as, request_of
from tests.worker.api.exchanges.infer_table import INFERENCES
from tests.worker.api.exchanges.model import NAME, SIGNATURES
from tests.worker.api.exchanges.tfs_table import PREDICTIONS
from tests.worker.api.protocols.mutations import Mutator

IMAGES: Final = "colours"
"""The name of a model that takes images."""
_ENCODING: Final = "Content-Encoding"
_CODINGS: Final = ("gzip", "deflate")


@dataclass(frozen=True, slots=True)
class Good:
    """A request before its compression, and what its answer has to hold. The headers have no coding."""

    path: str
    body: bytes
    headers: Mapping[str, str]
    answered: bytes

    @property
    def model(self) -> str:
        """The name of the model that is asked."""
        return IMAGES if f"/{IMAGES}" in self.path else NAME


@dataclass(frozen=True, slots=True)
class Damaged:
    """A request as it is sent."""

    path: str
    body: bytes
    headers: Mapping[str, str]


def good_requests() -> Sequence[Good]:
    """All of the tables, and images. Labels are left out: a SavedModel has none."""
    found = [
        Good(f"/v1/models/{NAME}:{each.verb}", each.body.encode(), {}, each.answer.encode())
        for each in PREDICTIONS
    ]
    for inference in INFERENCES:
        if any(each.classes for each in inference.asked):
            continue
        query = f"?signature={inference.signature}" if inference.signature else ""
        for form in forms_of(inference):
            if not form.sent_coding and not form.answered_coding:
                sent, answer = request_of(inference, form), answer_to(inference, form)
                found.append(Good(f"/v2/models/{NAME}/infer{query}", sent.body, sent.headers, answer.body))
    return [*found, *_with_images()]


def _with_images() -> list[Good]:
    """Pictures of one colour, in several formats; the model says which colour is the best."""
    found = []
    # The model answers the shares of red, green and blue; green is half as bright as the others.
    for colour, form, shares in (
        ("red", "PNG", b"[[0.999"),
        ("green", "JPEG", b",0.98"),
        ("blue", "GIF", b",0.999"),
    ):
        content = picture(colour, form)
        text = base64.b64encode(content).decode()
        rows = json.dumps({"instances": [{"b64": text}]}).encode()
        found.append(Good(f"/v1/models/{IMAGES}:predict", rows, {}, shares))
        asked = [{"name": "shares", "parameters": {"classification": 1}}]
        tensor = {"name": "image", "datatype": "BYTES", "shape": [1]}
        in_json = {**tensor, "data": [text], "parameters": {"content_type": "base64"}}
        best = f":{colour}".encode()
        body = json.dumps({"inputs": [in_json], "outputs": asked}).encode()
        found.append(Good(f"/v2/models/{IMAGES}/infer", body, {}, best))
        data = strings(content)
        in_binary = {**tensor, "parameters": {"binary_data_size": len(data)}}
        head = json.dumps({"inputs": [in_binary], "outputs": asked}).encode()
        found.append(Good(f"/v2/models/{IMAGES}/infer", head + data, {LENGTH: str(len(head))}, best))
    return found


def _bombs() -> Sequence[Damaged]:
    """Small bodies that cost much, where nothing holds them back."""
    infer, predict = f"/v2/models/{NAME}/infer", f"/v1/models/{NAME}:predict"
    zeros, deep = bytes(10**8), b"[" * 200_000
    shapes = ([2**31, 2**31], [0, 2**62], [2**62, 3], [1] * 33, [2**20, 2**20, 0])
    tensors = [{"name": "x", "datatype": "FP32", "shape": shape, "data": []} for shape in shapes]
    twice = gzip.compress(gzip.compress(zeros))
    return [
        *(Damaged(path, gzip.compress(zeros), {_ENCODING: "gzip"}) for path in (infer, predict)),
        *(Damaged(path, zlib.compress(zeros), {_ENCODING: "deflate"}) for path in (infer, predict)),
        *(Damaged(path, twice, {_ENCODING: "gzip"}) for path in (infer, predict)),
        *(Damaged(path, gzip.compress(b"") * 5000, {_ENCODING: "gzip"}) for path in (infer, predict)),
        *(Damaged(infer, json.dumps({"inputs": [each]}).encode(), {}) for each in tensors),
        Damaged(infer, b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": ' + deep, {}),
        Damaged(predict, b'{"instances": ' + deep, {}),
        Damaged(predict, b'{"more": ' + deep + b"]" * 200_000 + b', "inputs": [[1, 2, 3]]}', {}),
        Damaged(predict, b'{"instances": [' + b"[]," * 200_000 + b"[]]}", {}),
        Damaged(predict, b'{"instances": [[' + b"9" * 300_000 + b", 1, 2]]}", {}),
        Damaged(predict, b'{"instances": [' + b"{}," * 200_000 + b"{}]}", {}),
        Damaged(f"{infer}?signature=bytes", strings(*[b""] * 100_000), {LENGTH: "0"}),
    ]


class RequestMutator:
    """Makes damaged requests from good ones, the same ones for the same seed."""

    _SHARE_OF_BOMBS: Final = 60
    """One request in so many."""

    def __init__(self, seed: int) -> None:
        self._dice = Mutator(seed)
        self._good = good_requests()
        self._bombs = _bombs()

    def good(self) -> Good:
        """A request that is well."""
        return self._good[self._dice.pick(len(self._good))]

    def damaged(self) -> Damaged:
        """A request that need not be."""
        pick = self._dice.pick
        if pick(self._SHARE_OF_BOMBS) == 0:
            return self._bombs[pick(len(self._bombs))]
        good = self.good()
        found = Damaged(self._path(good.path), good.body, dict(good.headers))
        if pick(8):
            found = self._json(found) if pick(2) else self._bytes(found)
        found = self._length(found)
        return self._coding(found)

    def _path(self, path: str) -> str:
        """One in 20 goes to another signature, which takes something else."""
        if self._dice.pick(20) or "/v2/" not in path:
            return path
        names = list(SIGNATURES)
        return f"{path.partition('?')[0]}?signature={names[self._dice.pick(len(names))]}"

    def _bytes(self, sent: Damaged) -> Damaged:
        return dataclasses.replace(sent, body=self._dice.damaged(sent.body, self.good().body))

    def _json(self, sent: Damaged) -> Damaged:
        """A body whose JSON is another document, and whose header is right again."""
        length = int(sent.headers.get(LENGTH) or len(sent.body))
        try:
            head = self._dice.damaged_json(sent.body[:length])
        except ValueError:  # a raw request, or text behind the document
            return self._bytes(sent)
        headers = {**sent.headers, LENGTH: str(len(head))} if LENGTH in sent.headers else sent.headers
        return Damaged(sent.path, head + sent.body[length:], headers)

    def _length(self, sent: Damaged) -> Damaged:
        """One in six has another length of JSON than it says."""
        pick = self._dice.pick
        if pick(6):
            return sent
        right = int(sent.headers.get(LENGTH) or len(sent.body))
        lengths = (
            *(str(right + pick(9) - 4) for _ in range(3)),
            "0",
            "-1",
            str(2**31),
            str(2**64),
            "",
            "1e3",
            "x",
        )
        return dataclasses.replace(sent, headers={**sent.headers, LENGTH: lengths[pick(len(lengths))]})

    def _coding(self, sent: Damaged) -> Damaged:
        """A third is compressed; half of these bodies are damaged again, or are of another coding."""
        pick = self._dice.pick
        headers = dict(sent.headers)
        if pick(4) == 0:
            headers["Accept-Encoding"] = ("gzip", "deflate", "gzip, deflate", "br", "gzip;q=0", "*", "\xff")[
                pick(7)
            ]
        if pick(3):
            return dataclasses.replace(sent, headers=headers)
        coding = _CODINGS[pick(2)]
        body = packed_as(coding, sent.body)
        if pick(2):
            body = self._dice.damaged(body, self.good().body)
        named = (coding, coding, coding, coding.upper(), "br", "gzip, deflate", "identity", "deflate")[
            pick(8)
        ]
        return Damaged(sent.path, body, {**headers, _ENCODING: named})
