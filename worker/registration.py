"""Register a worker after its address has passed the self-test, and deregister it."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Final

from tfleet.discovery.registration.heartbeat import Registration
from tfleet.discovery.registration.self_test import SelfTest

_POLL_INTERVAL_S: Final = 0.5


class WorkerRegistration:
    """Registers a worker when it is ready and its address has been tested.

    Without a `test` the address is not tested; without a `registration` the worker is not registered. The
    registration also waits for the result of `wan_test`, good or bad.
    """

    def __init__(
        self,
        registration: Registration | None = None,
        test: SelfTest | None = None,
        wan_test: SelfTest | None = None,
    ) -> None:
        self._registration = registration
        self._test = test
        self._wan_test = wan_test
        self._wanted = threading.Event()
        self._stop = threading.Event()
        self._registered = False
        self._thread = threading.Thread(target=self._run, name="registration")
        self._wan_thread = threading.Thread(target=self._test_wan, name="wan-test")

    def __repr__(self) -> str:
        return f"<WorkerRegistration registered={self._registered} {self._test!r} {self._registration!r}>"

    def begin(self) -> None:
        """Claim the address and start its test. Raises AddressHeldError."""
        if self._registration is not None:
            self._registration.check_address()
        self._thread.start()
        if self._wan_test is not None:
            self._wan_thread.start()

    def wait_admitted(self) -> None:
        """Return when the test of the address is over, so that the worker may become ready."""
        # Polls twice a second so that signal handlers can run: see `StopSignal.wait`.
        while self._test is not None and not self._test.wait_settled(_POLL_INTERVAL_S):
            pass

    def join(self, kind: str = "", *, stateful: bool = False) -> None:
        """Register the worker as soon as its address has been tested, with what is known of its model by
        now.
        """
        if self._registration is not None:
            known = replace(self._registration.instance, kind=kind, stateful=stateful)
            self._registration.instance = known
        self._wanted.set()

    def leave(self) -> None:
        """Stop the tests and deregister; a second call has no effect. If the registry does not answer, the
        entry expires.
        """
        self._stop.set()
        self._wanted.set()
        for thread in (self._thread, self._wan_thread):
            if thread.is_alive():
                thread.join()
        if self._registered and self._registration is not None:
            self._registered = False
            self._registration.stop()

    def _run(self) -> None:
        if self._test is not None and not self._test.run(self._stop):
            return
        self._wanted.wait()
        # With the WAN test's result, so that proxies never see the worker without an address that it has.
        while not (
            self._wan_test is None or self._stop.is_set() or self._wan_test.wait_settled(_POLL_INTERVAL_S)
        ):
            pass
        if self._registration is not None and not self._stop.is_set():
            self._registered = True
            self._registration.start()

    def _test_wan(self) -> None:
        if self._wan_test is not None:
            self._wan_test.run(self._stop)
