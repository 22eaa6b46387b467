"""The self-test: whether other machines can reach a worker, before it is ready and before it registers.

The registry sends an HTTP request to the advertised address (reachability_check.py). The rules:

- Reached: the worker may become ready and register.
- Not reached: it may do neither, and the test is repeated, because networks may come up late.
- The registry does not answer: the worker may become ready (clients that know it can use it), but it must
  pass the test before it registers.
- The registry refuses such checks: the address goes untested.

An optional address (the WAN address) delays nothing: it is not advertised before it was reached.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import structlog

from tfleet.discovery.consul.reachability_check import TIMEOUT_S, AddressCheck, Finding
from tfleet.discovery.errors import RegistryError, RegistryRefusedError, RegistryUnavailableError
from tfleet.discovery.instance import Instance
from tfleet.runtime.backoff import Backoff

_LOG_EVERY_REPEATS: Final = 16  # about once a minute


@dataclass(frozen=True, slots=True)
class SelfTestTarget:
    """Which address is tested.

    `hint` is what to change if it cannot be reached. A worker is not ready while a `required` address is not
    reached.
    """

    hint: str
    kind: Literal["lan", "wan"] = "lan"
    required: bool = True


@dataclass(frozen=True, slots=True)
class SelfTestTiming:
    """How often the test is repeated, how often its result is polled, and when it counts as not run."""

    retry: Backoff = field(default_factory=lambda: Backoff(first_s=0.5, cap_s=4.0))
    poll_s: float = 0.1
    give_up_after_s: float = TIMEOUT_S + 5.0  # the registry runs the check for the first time within a second


class SelfTest:
    """Has an instance's address checked until it is reached.

    `on_problem` gets the reason why the worker cannot be ready, one line; an empty one when there is none any
    more. `locate` returns the instance with its current address, which may change before it is reached.
    """

    def __init__(
        self,
        check: AddressCheck,
        instance: Instance,
        target: SelfTestTarget,
        *,
        on_problem: Callable[[str], None] = lambda _: None,
        locate: Callable[[Instance], Instance] = lambda instance: instance,
        timing: SelfTestTiming | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._check = check
        self._instance = instance
        self._target = target
        self._on_problem = on_problem
        self._locate = locate
        self._timing = timing or SelfTestTiming()
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._log: Any = structlog.get_logger().bind(worker=instance.id, kind=target.kind)
        self._settled = threading.Event()
        self._passed = False
        self._event = ""
        self._repeats = 0

    def __repr__(self) -> str:
        return f"<SelfTest of {self._instance.address} settled={self._settled.is_set()}>"

    def wait_settled(self, timeout_s: float) -> bool:
        """Wait until the worker may become ready as far as this address is concerned; False at time-out."""
        return self._settled.wait(timeout_s)

    @property
    def passed(self) -> bool:
        """Whether the address may be advertised."""
        return self._passed

    def run(self, stop: threading.Event) -> bool:
        """Test until the worker may register the address (True), or until `stop` is set (False)."""
        self._passed = self._run(stop)
        if self._passed:
            self._settled.set()
        return self._passed

    def _run(self, stop: threading.Event) -> bool:
        while not stop.is_set():
            try:
                finding = self._run_check(stop)
            except RegistryRefusedError as error:
                # Repeating would not help, and a worker must not depend on a permission it can do without.
                self._log.warning("the address is not tested", error=str(error))
                return True
            except RegistryError as error:
                self._log_repeated(self._log.warning, "the address can't be tested yet", error=str(error))
                # Ready but unregistered: the worker need not wait for a registry that is down.
                self._settled.set()
            except Exception:  # a bug must not end the thread: the worker would never become ready
                self._log.exception("the self-test failed unexpectedly")
                return True
            else:
                # `stop` came during the check: the worker is shutting down.
                if finding is None:
                    break
                if finding.reached:
                    self._on_problem("")
                    self._log.info("address reached", address=self._address, by=self._check.where)
                    return True
                self._not_reached(finding)
            stop.wait(self._timing.retry.delay_s(self._repeats, self._rng))
        return False

    @property
    def _address(self) -> str:
        return str(self._instance.address)

    def _run_check(self, stop: threading.Event) -> Finding | None:
        """Run one check; None if `stop` was set first."""
        # A container may have got its final address only after the last test.
        self._instance = self._locate(self._instance)
        name = self._check.begin(self._instance)
        try:
            give_up_at_s = time.monotonic() + self._timing.give_up_after_s
            while not stop.wait(self._timing.poll_s):
                if (finding := self._check.finding(name)) is not None:
                    return finding
                if time.monotonic() >= give_up_at_s:
                    raise RegistryUnavailableError(
                        f"{self._check.where} does not run the check of the address"
                    )
            return None
        finally:
            self._end_check(name)

    def _end_check(self, name: str) -> None:
        try:
            self._check.end(name)
        except RegistryError as error:  # the registry removes it by itself when the worker is gone
            self._log.warning("the check of the address was not removed", check=name, error=str(error))

    def _not_reached(self, finding: Finding) -> None:
        by, hint = self._check.where, self._target.hint
        self._on_problem(f"{by} can't reach it at {self._address}: {finding.error}; {hint}")
        self._log_repeated(
            self._log.error,
            "the advertised address can't be reached",
            address=self._address,
            tried_from=by,
            error=finding.error,
            hint=hint,
        )
        if not self._target.required:
            self._settled.set()

    def _log_repeated(self, log: Callable[..., None], event: str, **fields: str) -> None:
        """Log the first of several equal events, and then about one a minute."""
        self._repeats = self._repeats + 1 if event == self._event else 1
        self._event = event
        if self._repeats == 1 or self._repeats % _LOG_EVERY_REPEATS == 0:
            log(event, times=self._repeats, **fields)
