import struct

import numpy as np
import pyarrow as pa
import pytest

from tests.support.bodies import arrow
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.native import InputLimits
from tfleet.worker.api.protocols.native.arrow_metadata import check_stream

LIMITS = InputLimits()
BODY = arrow({"x": np.arange(1000)}, batches=3)
ZSTD = arrow({"x": np.zeros(100_000)}, compression="zstd")


def problem(body: bytes, limits: InputLimits = LIMITS) -> str:
    with pytest.raises(ProblemError) as error:
        check_stream(body, 1, limits)
    return f"{error.value.problem.status} {error.value.problem.detail}"


def test_the_rows_of_all_batches_are_counted() -> None:
    assert check_stream(BODY, 1, LIMITS) == 3000
    assert check_stream(arrow({"x": pa.array(["a", "b", "a"]).dictionary_encode()}), 1, LIMITS) == 3


def test_a_stream_without_its_end_mark_is_accepted() -> None:
    assert check_stream(BODY[:-8], 1, LIMITS) == 3000


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"ARROW1\0\0" + BODY, "it is an Arrow file (Feather): write the stream format"),
        (b"PAR1" + BODY, "does not begin with FF FF FF FF"),
        (BODY[:100], "it ends within a message"),
        (BODY[:-200], "it ends within a message's body"),
        (BODY[:3], "cut off"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f", "more metadata than data"),
        (b"\xff\xff\xff\xff\x10\0\0\0" + b"\xff" * 16, "cut off"),
        # The table of fields lies before the metadata's beginning.
        (b"\xff\xff\xff\xff\x10\0\0\0" + struct.pack("<IiQ", 4, 8, 0), "cut off"),
        (BODY.replace(struct.pack("<qq", 0, 8000), struct.pack("<qq", 0, 8008)), "a buffer lies outside"),
        (BODY.replace(struct.pack("<qq", 0, 8000), struct.pack("<qq", -8, 8000)), "a buffer lies outside"),
    ],
)
def test_a_damaged_stream_is_refused(body: bytes, said: str) -> None:
    assert said in problem(body)


def test_more_than_the_limits_is_refused_unread() -> None:
    assert "413 the body has 2000 rows" in problem(BODY, InputLimits(rows=1500))
    assert "413 the Arrow stream has more than 3 batches" in problem(BODY, InputLimits(arrow_batches=3))
    assert "413 the Arrow stream becomes more than" in problem(BODY, InputLimits(tensor_bytes=20_000))


def test_the_declared_size_of_compressed_data_counts() -> None:
    assert len(ZSTD) < 2000
    assert check_stream(ZSTD, 1, InputLimits(rows=100_000)) == 100_000
    assert "becomes more than the 700000 bytes" in problem(
        ZSTD, InputLimits(tensor_bytes=700_000, rows=100_000)
    )
    declared = struct.pack("<q", 800_000)
    assert declared in ZSTD
    huge = ZSTD.replace(declared, struct.pack("<q", 2**40))
    assert "413 the Arrow stream becomes more" in problem(huge, InputLimits(rows=100_000))
    assert "a compressed buffer has a negative size" in problem(
        ZSTD.replace(declared, struct.pack("<q", -2)), InputLimits(rows=100_000)
    )
