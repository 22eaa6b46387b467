"""Finds out whether others can reach a worker, before it calls itself ready and before it registers.

The rules:

- Reached: the worker may call itself ready and register.
- Not reached: neither, and it is tried again, because networks come up late.
- The registry does not answer: the worker need not wait for it (it still serves whoever knows it), but before
  it registers it is tested.
- The registry refuses such checks: then it has to go without.

An address for clients outside is no condition of anything (not `needed`): nobody is told it before it is
reached, and the worker does without it until then.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import structlog

from tfleet.discovery.consul.reachability_check import TIMEOUT_S, AddressCheck, Finding
from tfleet.discovery.errors import RegistryError, RegistryRefusedError, RegistryUnavailableError
from tfleet.discovery.instance import Instance
from tfleet.runtime.backoff import Backoff

_RETRY: Final = Backoff(first_s=0.5, cap_s=4.0)
_POLL_S: Final = 0.1
_PATIENCE_S: Final = TIMEOUT_S + 5.0  # the first run comes within a second


class SelfTest:
    """Has an instance's address checked until it is reached.

    `hint` is what somebody should set where it is not. `tell` gets the reason why the worker can't be ready,
    one line, and an empty one when there is none any more. `what` is what the log calls the address. `locate`
    gives the instance with the address that it has now: it may change before it is reached.
    """

    def __init__(
        self,
        check: AddressCheck,
        instance: Instance,
        *,
        hint: str,
        tell: Callable[[str], None] = lambda _: None,
        what: str = "address",
        needed: bool = True,
        locate: Callable[[Instance], Instance] = lambda instance: instance,
        retry: Backoff = _RETRY,
        poll_s: float = _POLL_S,
        patience_s: float = _PATIENCE_S,
        rng: random.Random | None = None,
    ) -> None:
        self._check = check
        self._instance = instance
        self._hint = hint
        self._tell = tell
        self._what = what
        self._needed = needed
        self._locate = locate
        self._retry = retry
        self._poll_s = poll_s
        self._patience_s = patience_s
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._log: Any = structlog.get_logger().bind(worker=instance.id)
        self._settled = threading.Event()
        self._passed = False
        self._event = ""
        self._times = 0

    def __repr__(self) -> str:
        return f"<SelfTest of {self._instance.address} settled={self._settled.is_set()}>"

    def wait_settled(self, timeout_s: float) -> bool:
        """Whether the worker may call itself ready, as far as its address is concerned."""
        return self._settled.wait(timeout_s)

    @property
    def passed(self) -> bool:
        """Whether the address may be told to others."""
        return self._passed

    def run(self, stop: threading.Event) -> bool:
        """Return True when the worker may register with the address, False where `stop` came first."""
        self._passed = self._run(stop)
        if self._passed:
            self._settled.set()
        return self._passed

    def _run(self, stop: threading.Event) -> bool:
        while not stop.is_set():
            try:
                finding = self._ask(stop)
            except RegistryRefusedError as error:
                self._log.warning(f"the {self._what} goes untested", error=str(error))
                return True
            except RegistryError as error:
                self._repeat(self._log.warning, f"the {self._what} can't be tested yet", error=str(error))
                self._settled.set()
            except Exception:  # a mistake of ours must not end the thread: the worker would start for ever
                self._log.exception("the self-test failed in a way that nobody thought of")
                return True
            else:
                if finding is None:
                    break
                if finding.reached:
                    self._tell("")
                    self._log.info(f"{self._what} reached", address=self._where, by=self._check.where)
                    return True
                self._not_reached(finding)
            stop.wait(self._retry.delay_s(self._times, self._rng))
        return False

    @property
    def _where(self) -> str:
        return str(self._instance.address)

    def _ask(self, stop: threading.Event) -> Finding | None:
        """One check; None where `stop` came first."""
        self._instance = self._locate(self._instance)
        name = self._check.begin(self._instance)
        try:
            give_up_at_s = time.monotonic() + self._patience_s
            while not stop.wait(self._poll_s):
                if (finding := self._check.finding(name)) is not None:
                    return finding
                if time.monotonic() >= give_up_at_s:
                    raise RegistryUnavailableError(
                        f"{self._check.where} does not run the check of the address"
                    )
            return None
        finally:
            self._end(name)

    def _end(self, name: str) -> None:
        try:
            self._check.end(name)
        except RegistryError as error:  # the registry removes it by itself when the worker is gone
            self._log.warning("the check of the address stays behind", check=name, error=str(error))

    def _not_reached(self, finding: Finding) -> None:
        by = self._check.where
        self._tell(f"{by} can't reach it at {self._where}: {finding.error}; {self._hint}")
        self._repeat(
            self._log.error,
            f"the advertised {self._what} can't be reached",
            address=self._where,
            tried_from=by,
            error=finding.error,
            hint=self._hint,
        )
        if not self._needed:
            self._settled.set()

    def _repeat(self, log: Callable[..., None], event: str, **fields: str) -> None:
        """Log the first of a row, and then about one a minute."""
        self._times = self._times + 1 if event == self._event else 1
        self._event = event
        if self._times == 1 or self._times % 16 == 0:
            log(event, times=self._times, **fields)
