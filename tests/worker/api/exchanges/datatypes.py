"""A tensor of each datatype, and the same tensor backwards: in JSON, and as bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_CODES: Final = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
"""How Python's struct writes them."""


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a tensor: in JSON, and as they lie in the binary part of a body.

    `base64`: the JSON has bytes in base64, and says so.
    """

    json: str
    packed: bytes
    base64: bool = False


@dataclass(frozen=True, slots=True)
class Reversal:
    """What the signature of this name takes, and what it answers: the values from the last to the first."""

    datatype: str
    dtype: str
    sent: Values
    answered: Values

    @property
    def signature(self) -> str:
        """The name of the signature."""
        return self.datatype.lower()


def packed(datatype: str, values: Sequence[float]) -> bytes:
    """Numbers, little-endian. The two higher bytes of a float32 are a bfloat16."""
    if datatype == "BF16":
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    return struct.pack(f"<{len(values)}{_CODES[datatype]}", *values)


def strings(*texts: bytes) -> bytes:
    """Strings, each behind its length."""
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _numbers(datatype: str, dtype: str, numbers: Sequence[float], sent: str, answered: str) -> Reversal:
    """`sent` and `answered` are the same numbers in JSON, the latter backwards."""
    backwards = packed(datatype, numbers[::-1])
    return Reversal(datatype, dtype, Values(sent, packed(datatype, numbers)), Values(answered, backwards))


NAN, INF = float("nan"), float("inf")
REVERSALS: Final = (
    _numbers("BOOL", "bool", [True, False, False], "[true, false, false]", "[false,false,true]"),
    _numbers("UINT8", "uint8", [0, 7, 255], "[0, 7, 255]", "[255,7,0]"),
    _numbers("UINT16", "uint16", [0, 7, 65535], "[0, 7, 65535]", "[65535,7,0]"),
    _numbers("UINT32", "uint32", [0, 7, 2**32 - 1], "[0, 7, 4294967295]", "[4294967295,7,0]"),
    _numbers(
        *("UINT64", "uint64", [0, 2**53 + 1, 2**64 - 1]),
        "[0, 9007199254740993, 18446744073709551615]",
        "[18446744073709551615,9007199254740993,0]",
    ),
    _numbers("INT8", "int8", [-128, 0, 127], "[-128, 0, 127]", "[127,0,-128]"),
    _numbers("INT16", "int16", [-32768, 0, 32767], "[-32768, 0, 32767]", "[32767,0,-32768]"),
    _numbers(
        "INT32",
        "int32",
        [-(2**31), 0, 2**31 - 1],
        "[-2147483648, 0, 2147483647]",
        "[2147483647,0,-2147483648]",
    ),
    _numbers(
        *("INT64", "int64", [-(2**63), 2**53 + 1, 2**63 - 1]),
        "[-9223372036854775808, 9007199254740993, 9223372036854775807]",
        "[9223372036854775807,9007199254740993,-9223372036854775808]",
    ),
    _numbers("FP16", "float16", [0.1, -2, 65504], "[0.1, -2, 65504]", "[65500.0,-2.0,0.1]"),
    _numbers(
        "BF16", "bfloat16", [0.5, -1.25, 2.0**100], "[0.5, -1.25, 1.2676506e30]", "[1.27e+30,-1.25,0.5]"
    ),
    _numbers(
        *("FP32", "float32", [0.1, 1111111, 6e-7, NAN, INF, -INF, 0.96]),
        "[0.1, 1111111, 6e-7, NaN, Infinity, -Infinity, 0.96]",
        "[0.96,-Infinity,Infinity,NaN,6e-07,1111111.0,0.1]",
    ),
    _numbers("FP64", "float64", [0.1, 1e308, NAN], "[0.1, 1e308, NaN]", "[NaN,1e+308,0.1]"),
    Reversal(
        *("BYTES", "string"),
        Values('["a", "", "gr\\u00fc\\u00dfe: {\\"x\\"}"]', strings(b"a", b"", 'grüße: {"x"}'.encode())),
        Values('["grüße: {\\"x\\"}","","a"]', strings('grüße: {"x"}'.encode(), b"", b"a")),
    ),
)
"""One of each datatype."""
