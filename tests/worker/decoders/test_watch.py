import pytest

from tfleet.worker.decoders import CallerGoneError, DecodeOverdueError, DecodeTimeoutError, PoolLimits
from tfleet.worker.decoders.watch import Began, Caller

LIMITS = PoolLimits(1, 1, decode_timeout_s=5)


@pytest.mark.parametrize(
    ("now_s", "gone", "why"),
    [
        (9.9, False, None),
        (10.0, False, DecodeOverdueError),
        (9.9, True, CallerGoneError),
        (10.0, True, CallerGoneError),
    ],
)
def test_a_caller_waits_until_its_deadline(now_s: float, gone: bool, why: type[Exception] | None) -> None:
    found = Caller(10.0, lambda: gone).why_end(now_s)
    assert type(found) is (why or type(None))


@pytest.mark.parametrize(
    ("now_s", "cpu_s", "message"),
    [
        (100.0, 2.0, None),
        (114.9, 6.9, None),
        (101.0, 7.0, "decoding took more than 5 s of CPU time"),
        (115.0, 2.0, "decoding took more than 15 s"),
    ],
)
def test_a_decoder_has_its_time(now_s: float, cpu_s: float, message: str | None) -> None:
    found = Began(100.0, 2.0).why_end(now_s, cpu_s, LIMITS)
    assert found is None if message is None else (type(found), str(found)) == (DecodeTimeoutError, message)
