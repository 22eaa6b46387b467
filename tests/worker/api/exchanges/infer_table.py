"""What the model of the exchanges is asked by the Open Inference Protocol, and what it answers."""

from __future__ import annotations

from typing import Final

from tests.worker.api.exchanges.datatypes import NAN, REVERSALS, Values, packed, strings
from tests.worker.api.exchanges.infer_forms import Asked, Inference, Tensor


def _floats(name: str, shape: tuple[int, ...], json: str, *values: float, datatype: str = "FP32") -> Tensor:
    return Tensor(name, datatype, shape, Values(json, packed(datatype, values)))


def _texts(name: str, shape: tuple[int, ...], json: str, *texts: bytes, base64: bool = False) -> Tensor:
    return Tensor(name, "BYTES", shape, Values(json, strings(*texts), base64))


_PAIR: Final = (_floats("b", (2,), "[0.5, 2]", 0.5, 2), _floats("a", (2,), "[1.5, 1]", 1.5, 1))
"""In an order that is not the model's."""
_DIFFERENCE: Final = _floats("difference", (2,), "[1.0,-1.0]", 1, -1)
_SUM: Final = _floats("sum", (2,), "[2.0,3.0]", 2, 3)
_SCORED: Final = (_floats("x", (2, 3), "[1, 3, 2, 0.1, -1, -0.5]", 1, 3, 2, 0.1, -1, -0.5),)
_MIXED: Final = (
    Tensor("age", "INT32", (2,), Values("[36, -1]", packed("INT32", [36, -1]))),
    _texts("name", (2, 1), '[["Ada: x"], [""]]', b"Ada: x", b""),
)
_OLDER: Final = Tensor("age", "INT32", (2,), Values("[37,0]", packed("INT32", [37, 0])))
_NAMES: Final = _texts("name_bytes", (2, 1), '["","Ada: x"]', b"", b"Ada: x")
_BEST: Final = _texts(
    *("scores", (2, 2), '["6.0:1:middle","4.0:2:high","0.2:0:low","-1.0:2:high"]'),
    *(b"6.0:1:middle", b"4.0:2:high", b"0.2:0:low", b"-1.0:2:high"),
)


def _compact(numbers: range) -> str:
    return str([*numbers]).replace(" ", "")


INFERENCES: Final = (
    *(
        Inference(
            f"{each.datatype} of any values",
            each.signature,
            (Tensor("x", each.datatype, (size := len(each.sent.json.split(", ")),), each.sent),),
            (Tensor("y", each.datatype, (size,), each.answered),),
            # In a raw request a string is the whole body.
            raw=each.datatype != "BYTES",
        )
        for each in REVERSALS
    ),
    Inference("several inputs and outputs", "pair", _PAIR, (_DIFFERENCE, _SUM), id='42: "é"'),
    Inference(
        "outputs in another order", "pair", _PAIR, (_SUM, _DIFFERENCE), (Asked("sum"), Asked("difference"))
    ),
    Inference("one of two outputs", "pair", _PAIR, (_SUM,), (Asked("sum"),), id=""),
    Inference(
        *("one output in binary and one in JSON", "pair", _PAIR, (_SUM, _DIFFERENCE)),
        (Asked("sum", binary=True), Asked("difference", binary=False)),
    ),
    Inference(
        *("one output says nothing of its form", "pair", _PAIR, (_SUM, _DIFFERENCE)),
        (Asked("sum", binary=False), Asked("difference")),
    ),
    Inference("inputs of two datatypes", "mixed", _MIXED, (_OLDER, _NAMES), id="7"),
    Inference(
        "the default signature",
        "",
        _SCORED,
        (_floats("scores", (2, 3), "[2.0,6.0,4.0,0.2,-2.0,-1.0]", 2, 6, 4, 0.2, -2, -1),),
    ),
    Inference("the best classes with their labels", "", _SCORED, (_BEST,), (Asked("scores", classes=2),)),
    Inference(
        *("classes in binary, whatever the request wants", "", _SCORED, (_BEST,)),
        (Asked("scores", binary=True, classes=2),),
    ),
    Inference(
        "a scalar",
        "scalar",
        (_floats("x", (), "[4]", 4, datatype="FP64"),),
        (_floats("y", (), "[8.0]", 8, datatype="FP64"),),
        raw=True,
    ),
    Inference(
        "a tensor without rows",
        "vector",
        (_floats("x", (2,), "[1, NaN]", 1, NAN),),
        (_floats("y", (2,), "[NaN,1.0]", NAN, 1),),
        raw=True,
    ),
    Inference(
        *("no rows at all", "int64", (Tensor("x", "INT64", (0,), Values("[]", b"")),)),
        (Tensor("y", "INT64", (0,), Values("[]", b"")),),
    ),
    Inference(
        "many rows",
        "int64",
        (Tensor("x", "INT64", (600,), Values(str([*range(600)]), packed("INT64", range(600)))),),
        (
            Tensor(
                "y",
                "INT64",
                (600,),
                Values(_compact(range(599, -1, -1)), packed("INT64", range(599, -1, -1))),
            ),
        ),
        raw=True,
    ),
    Inference(
        "lists within lists",
        "picture",
        (
            Tensor(
                "x",
                "UINT8",
                (2, 2, 2),
                Values("[[[1, 2], [3, 4]], [[5, 6], [7, 255]]]", bytes([*range(1, 8), 255])),
            ),
        ),
        (Tensor("y", "UINT8", (2, 2, 2), Values("[5,6,7,255,1,2,3,4]", bytes([5, 6, 7, 255, 1, 2, 3, 4]))),),
    ),
    Inference(
        "one row, which may be raw",
        "picture",
        (Tensor("x", "UINT8", (1, 2, 2), Values("[0, 9, 128, 255]", bytes([0, 9, 128, 255]))),),
        (Tensor("y", "UINT8", (1, 2, 2), Values("[0,9,128,255]", bytes([0, 9, 128, 255]))),),
        raw=True,
    ),
    Inference(
        "bytes that are no text",
        "bytes",
        (_texts("x", (3,), '["/w==", "", "AGE="]', b"\xff", b"", b"\0a", base64=True),),
        (_texts("y", (3,), '["AGE=","","/w=="]', b"\0a", b"", b"\xff", base64=True),),
    ),
)
