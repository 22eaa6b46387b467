"""Which answers are compressed, and how."""

import gzip
import zlib

import pytest

from tfleet.worker.api.protocols.oip.compression import compressed, wanted_coding

BODY = b"abc" * 100_000


def test_other_programs_can_read_what_is_compressed() -> None:
    assert gzip.decompress(compressed(BODY, "gzip")) == BODY
    assert zlib.decompress(compressed(BODY, "deflate")) == BODY


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (None, None),
        ("", None),
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("GZIP;q=0.5", "gzip"),
        ("gzip, identity", "gzip"),
        ("gzip, *;q=0", "gzip"),
        ("gzip, deflate", None),
        ("gzip, deflate, br", None),
        ("gzip;q=0", None),
        ("gzip;q=0.000, deflate", "deflate"),
        ("br", None),
        ("*", None),
        ("identity", None),
    ],
)
def test_only_a_client_that_asks_for_one_coding_gets_it(accepted: str | None, coding: str | None) -> None:
    assert wanted_coding(accepted) == coding
