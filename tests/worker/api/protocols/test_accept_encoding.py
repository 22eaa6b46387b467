"""Which answers are compressed, and how."""

import gzip
import zlib

import pytest

from tfleet.worker.api.protocols.accept_encoding import LEAST_BYTES, MOST_BYTES, encoded, wanted_coding

BODY = b"abc" * 100_000


def test_other_programs_can_read_what_is_compressed() -> None:
    packed, coding = encoded(BODY, "gzip")
    assert (gzip.decompress(packed), coding) == (BODY, "gzip")
    packed, coding = encoded(BODY, "deflate")
    assert (zlib.decompress(packed), coding) == (BODY, "deflate")
    assert encoded(BODY, "gzip, br") == (BODY, None)


@pytest.mark.parametrize(
    ("size", "coding"),
    [(0, None), (LEAST_BYTES - 1, None), (LEAST_BYTES, "gzip"), (MOST_BYTES, "gzip"), (MOST_BYTES + 1, None)],
)
def test_small_and_very_large_answers_stay_as_they_are(size: int, coding: str | None) -> None:
    assert encoded(bytes(size), "gzip")[1] == coding


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
