import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import structlog

from tests.support.waiting import eventually_sync
from tfleet.contract.address import Address
from tfleet.discovery.consul.reachability_check import Finding
from tfleet.discovery.errors import RegistryError, RegistryRefusedError, RegistryUnavailableError
from tfleet.discovery.instance import Instance
from tfleet.discovery.registration.self_test import SelfTest, SelfTestTarget, SelfTestTiming
from tfleet.runtime.backoff import Backoff

WORKER = Instance("w1", Address("10.0.0.7", 8000))
REACHED = Finding(True)
REFUSED = Finding(False, "connection refused")
AWAY = RegistryUnavailableError("the registry does not answer")
DENIED = RegistryRefusedError("permission denied")

Step = Finding | Exception | None


class ScriptedCheck:
    """Finds what the script says, one step for each time that it is asked, and the last for ever."""

    where = "the registry at 10.0.0.1:8500"

    def __init__(self, *script: Step, end: RegistryError | None = None) -> None:
        self._script = deque(script)
        self._end = end
        self.begun = 0
        self.asked: list[Instance] = []
        self.open: set[str] = set()

    def begin(self, instance: Instance) -> str:
        self.asked.append(instance)
        self.begun += 1
        if isinstance(self._script[0], Exception):
            raise self._next()  # type: ignore[misc] # it is one
        self.open.add(name := f"check-{self.begun}")
        return name

    def finding(self, name: str) -> Finding | None:
        assert name in self.open
        found = self._next()
        assert not isinstance(found, Exception)
        return found

    def end(self, name: str) -> None:
        self.open.discard(name)
        if self._end:
            raise self._end

    def _next(self) -> Step:
        return self._script.popleft() if len(self._script) > 1 else self._script[0]


TARGET = SelfTestTarget("check --advertise")
OPTIONAL = SelfTestTarget("check --advertise", "wan", required=False)
TIMING = SelfTestTiming(retry=Backoff(first_s=0.001, cap_s=0.001), poll_s=0.001)


@contextmanager
def running(
    check: ScriptedCheck,
    on_problem: Callable[[str], None] = lambda _: None,
    *,
    target: SelfTestTarget = TARGET,
    timing: SelfTestTiming = TIMING,
    **options: Any,
) -> Iterator[Any]:
    """A self-test in a thread; `result` is what it returned, or will have when the block ends."""
    test = SelfTest(
        check,
        WORKER,
        target,
        on_problem=on_problem,
        timing=timing,
        **options,
    )
    stop = threading.Event()
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(test.run(stop)), name="self-test")
    thread.start()
    try:
        yield test, results
    finally:
        stop.set()
        thread.join()


def result(check: ScriptedCheck, **options: Any) -> bool:
    with running(check, **options) as (_, results):
        passed: bool = eventually_sync(lambda: results)[0]
    return passed


@pytest.mark.parametrize("script", [[REACHED], [None, None, REACHED], [REFUSED, REFUSED, REACHED]])
def test_a_worker_that_is_reached_may_be_ready_and_register(script: Sequence[Step]) -> None:
    check = ScriptedCheck(*script)
    with running(check) as (test, results):
        assert test.wait_settled(10)
        assert eventually_sync(lambda: results) == [True]
    assert check.open == set(), "each check is removed"


def test_an_unreached_worker_is_not_ready_and_tried_again() -> None:
    check = ScriptedCheck(REFUSED)
    with running(check) as (test, results):
        eventually_sync(lambda: check.begun > 3)
        assert not test.wait_settled(0)
        assert results == []
    assert results == [False], "it was stopped before anybody reached it"
    assert check.open == set()


def test_an_unreached_address_is_told_with_a_remedy() -> None:
    told: list[str] = []
    assert result(ScriptedCheck(REFUSED, REACHED), on_problem=told.append)
    assert told == [
        f"{ScriptedCheck.where} can't reach it at 10.0.0.7:8000: connection refused; check --advertise",
        "",
    ]


def test_the_error_is_one_complete_line_and_not_repeated() -> None:
    with structlog.testing.capture_logs() as lines:
        assert result(ScriptedCheck(*[REFUSED] * 17, REACHED))
    errors = [line for line in lines if line["log_level"] == "error"]
    assert [line.pop("times") for line in errors] == [1, 16]
    assert errors[0] == {
        "event": "the advertised address can't be reached",
        "kind": "lan",
        "log_level": "error",
        "worker": "w1",
        "address": "10.0.0.7:8000",
        "tried_from": "the registry at 10.0.0.1:8500",
        "error": "connection refused",
        "hint": "check --advertise",
    }


def test_without_a_registry_a_worker_is_tested_later() -> None:
    """Before it registers."""
    check = ScriptedCheck(AWAY, AWAY, REFUSED)
    with running(check) as (test, results):
        assert test.wait_settled(10), "nobody has to wait for a registry"
        eventually_sync(lambda: check.begun > 5)
        assert results == [], "and nobody registers without a test"


def test_an_absent_registry_is_one_warning() -> None:
    """It does not hide what comes next."""
    with structlog.testing.capture_logs() as lines:
        assert result(ScriptedCheck(AWAY, AWAY, REFUSED, REFUSED, REACHED))
    assert [line["log_level"] for line in lines] == ["warning", "error", "info"]


def test_a_refused_check_is_skipped_and_it_registers() -> None:
    check = ScriptedCheck(DENIED)
    with structlog.testing.capture_logs() as lines:
        assert result(check)
    assert check.begun == 1
    assert [(line["log_level"], line["error"]) for line in lines] == [("warning", "permission denied")]


def test_a_registry_that_runs_no_checks_counts_as_away() -> None:
    check = ScriptedCheck(None)
    with running(check, timing=replace(TIMING, give_up_after_s=0.01)) as (test, results):
        assert test.wait_settled(10)
        eventually_sync(lambda: check.begun > 1)
        assert results == []


def test_a_check_that_can_t_be_removed_is_no_reason_to_wait() -> None:
    assert result(ScriptedCheck(REACHED, end=AWAY))


def test_an_unexpected_error_lets_the_worker_start() -> None:
    with structlog.testing.capture_logs() as lines:
        assert result(ScriptedCheck(ZeroDivisionError("a mistake")))
    assert lines[0]["exc_info"]


def test_a_stopped_test_returns_at_once_and_removes_its_check() -> None:
    check = ScriptedCheck(None)
    with running(check) as (test, results):
        eventually_sync(lambda: check.open)
        assert repr(test) == "<SelfTest of 10.0.0.7:8000 settled=False>"
    assert (results, check.open) == ([False], set())


def test_an_optional_address_is_told_once_reached() -> None:
    """Nothing waits for it."""
    told: list[str] = []
    check = ScriptedCheck(None, REFUSED)
    with (
        structlog.testing.capture_logs() as lines,
        running(check, told.append, target=OPTIONAL) as (
            test,
            results,
        ),
    ):
        assert test.wait_settled(10)
        eventually_sync(lambda: check.begun > 3)
        assert (test.passed, results) == (False, [])
    assert (lines[0]["event"], lines[0]["kind"]) == ("the advertised address can't be reached", "wan")
    with running(ScriptedCheck(REFUSED, REACHED), target=OPTIONAL) as (test, results):
        assert eventually_sync(lambda: results) == [True]
        assert test.passed


def test_each_test_is_of_the_address_that_the_worker_has_then() -> None:
    moved = replace(WORKER, address=Address("10.0.0.8", 8000))
    places = iter([WORKER, moved])
    check = ScriptedCheck(REFUSED, REACHED)
    assert result(check, locate=lambda _: next(places))
    assert check.asked == [WORKER, moved]
