from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.discovery.embedded.go_json import BadDurationError, from_nanoseconds, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("-0", 0),
        ("0s", 0),
        ("10s", 10),
        ("+10s", 10),
        ("-10s", -10),
        ("250ms", 0.25),
        ("1m30s", 90),
        ("1h1m1s1ms", 3661.001),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("5.s", 5),
        ("7us", 7e-6),
        ("7\u00b5s", 7e-6),
        ("7\u03bcs", 7e-6),
        ("7ns", 7e-9),
    ],
)
def test_durations_are_read_as_go_reads_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("-", 'time: invalid duration "-"'),
        (".s", 'time: invalid duration ".s"'),
        ("bad", 'time: invalid duration "bad"'),
        ("5", 'time: missing unit in duration "5"'),
        ("1m5", 'time: missing unit in duration "1m5"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("5 s", 'time: unknown unit " s" in duration "5 s"'),
        ("\u0665s", 'time: invalid duration "\u0665s"'),
        ("300000000h", 'time: invalid duration "300000000h"'),
        ("9" * 400 + "h", f'time: invalid duration "{"9" * 400}h"'),
    ],
)
def test_refusals_use_gos_text(text: str, message: str) -> None:
    with pytest.raises(BadDurationError) as raised:
        parse_duration(text)
    assert str(raised.value) == message


@given(st.text())
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    with suppress(BadDurationError):
        assert abs(parse_duration(text)) <= 2**63 / 1e9


def test_a_number_as_duration_is_nanoseconds() -> None:
    assert from_nanoseconds(5_000_000_000) == 5


@pytest.mark.parametrize("number", [2**63, -(2**64), 1e300, float("nan"), float("inf")])
def test_a_number_beyond_gos_durations_is_refused(number: float) -> None:
    with pytest.raises(BadDurationError):
        from_nanoseconds(number)
