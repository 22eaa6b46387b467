from __future__ import annotations

import re

import pytest

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.memory import LEAST_BYTES, check_memory, parse_size, resident_bytes, shares


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1GB", 10**9),
        ("1g", 10**9),
        ("512 MiB", 512 * 2**20),
        ("1.5GB", 1_500_000_000),
        ("64000000", 64_000_000),
        ("2TB", 2 * 10**12),
    ],
)
def test_sizes_have_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("much", "'much' is no size: write it as 1GB, 512MB or 2GiB"),
        ("-1GB", "is no size"),
        ("1IB", "is no size"),
        ("", "is no size"),
        ("63MB", "63MB is less than the 64 MB that a run needs"),
    ],
)
def test_other_texts_are_no_sizes(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_size(text)


def test_what_is_held_takes_an_eighth_of_the_memory() -> None:
    assert shares(10**9).together == 10**9 // 64 * 8


def test_a_model_that_leaves_no_room_is_refused() -> None:
    most = 2 * resident_bytes() + LEAST_BYTES
    check_memory(most, shares(most))
    with pytest.raises(
        CannotScoreError, match=r"this process takes \d+ MB before the first row, and --memory is 64 MB"
    ) as refused:
        check_memory(LEAST_BYTES, shares(LEAST_BYTES))
    fitting = resident_bytes() * 8 // 7 + 10**7
    with pytest.raises(CannotScoreError, match="rows need an eighth and libraries 64 MB"):
        check_memory(fitting, shares(fitting))
    check_memory(fitting, shares(fitting), images=True)
    named = re.search(r"give --memory (\w+) or more", str(refused.value))
    assert named is not None
    least = parse_size(named[1])
    check_memory(least, shares(least))
    with pytest.raises(CannotScoreError):
        check_memory(least * 9 // 10, shares(least * 9 // 10))
