import pytest

from tfleet.worker.decoders import (
    CallerGoneError,
    DecodeOverdueError,
    DecodersBusyError,
    DecodeTimeoutError,
    PoolLimits,
)
from tfleet.worker.decoders.deadline import CpuBudget, WaitingRequest

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
    found = WaitingRequest(10.0, lambda: gone, busy_s=20.0).stop_reason(now_s)
    assert type(found) is (why or type(None))


@pytest.mark.parametrize(
    ("cpu_s", "message"),
    [(2.0, None), (6.9, None), (7.0, "decoding took more than 5 s of CPU time")],
)
def test_a_decoder_over_its_cpu_time_is_stopped(cpu_s: float, message: str | None) -> None:
    found = CpuBudget(2.0).stop_reason(cpu_s, LIMITS)
    assert found is None if message is None else (type(found), str(found)) == (DecodeTimeoutError, message)


def test_without_an_answer_in_time_all_are_busy() -> None:
    caller = WaitingRequest(10.0, lambda: False, busy_s=5.0)
    assert caller.stop_reason(4.9) is None
    assert isinstance(caller.stop_reason(5.0), DecodersBusyError)
