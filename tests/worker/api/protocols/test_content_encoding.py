import gzip
import zlib

import pytest

from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.content_encoding import inflated
from tfleet.worker.api.protocols.limits import InputLimits

LIMITS = InputLimits(body_bytes=3_000_000)
TEXT = b'{"instances": [1.0]}' * 1000


@pytest.mark.parametrize("encoding", [None, "", "identity", "Identity "])
def test_a_plain_body_is_itself(encoding: str | None) -> None:
    assert inflated(TEXT, encoding, LIMITS) is TEXT


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(TEXT), "gzip"),
        (gzip.compress(TEXT), "X-GZIP"),
        (gzip.compress(TEXT[:7]) + gzip.compress(TEXT[7:]), "gzip"),
        (zlib.compress(TEXT), "deflate"),
    ],
)
def test_a_compressed_body_is_inflated(body: bytes, encoding: str) -> None:
    assert inflated(body, encoding, LIMITS) == TEXT


@pytest.mark.parametrize(
    ("body", "encoding", "status", "said"),
    [
        (TEXT, "gzip", 400, "not gzip"),
        (gzip.compress(TEXT)[:-9], "gzip", 400, "ends early"),
        (gzip.compress(TEXT)[:-8] + b"\0" * 8, "gzip", 400, "not gzip"),
        (gzip.compress(TEXT) + b"tail", "gzip", 400, "not gzip"),
        (gzip.compress(b"") * 100_000, "gzip", 400, "16 streams"),
        (TEXT, "br", 415, "'br'"),
        (gzip.compress(TEXT), "gzip, gzip", 415, "is not supported"),
        (gzip.compress(bytes(3_000_001)), "gzip", 413, "larger than"),
        (zlib.compress(bytes(50_000_000)), "deflate", 413, "larger than"),
        (bytes(3_000_001), "gzip", 413, "3000001 bytes"),
    ],
)
def test_a_wrong_body_is_refused(body: bytes, encoding: str, status: int, said: str) -> None:
    with pytest.raises(ProblemError) as error:
        inflated(body, encoding, LIMITS)
    assert (error.value.problem.status, said in error.value.problem.detail) == (status, True)


def test_no_more_is_inflated_than_allowed() -> None:
    taken: list[int] = []
    limits = InputLimits(body_bytes=3_000_000, reserve=taken.append)
    with pytest.raises(ProblemError):
        inflated(gzip.compress(bytes(100_000_000)), "gzip", limits)
    assert sum(taken) <= 3_000_000 + 2**20
