"""A worker's way into the fleet and out of it: the self-test of its address, the registration, the leave."""

from __future__ import annotations

import threading
from typing import Final

from tfleet.discovery.registration.heartbeat import Registration
from tfleet.discovery.registration.self_test import SelfTest

_LOOK_EVERY_S: Final = 0.5


class WorkerRegistration:
    """Registers a worker as soon as it wants to and its address has been tested.

    Without a `test` the address is taken for granted; without a `registration` nobody is told of it. The
    registration waits for what the `wan_test` finds first, whatever that is.
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
        self._joined = False
        self._thread = threading.Thread(target=self._run, name="membership")
        self._wan_thread = threading.Thread(target=self._test_wan, name="wan-test")

    def __repr__(self) -> str:
        return f"<WorkerRegistration joined={self._joined} {self._test!r} {self._registration!r}>"

    def begin(self) -> None:
        """Claim the address and begin to test it. Raises AddressHeldError."""
        if self._registration is not None:
            self._registration.check_address()
        self._thread.start()
        if self._wan_test is not None:
            self._wan_thread.start()

    def wait_admitted(self) -> None:
        """Return when the worker may call itself ready, as far as its address is concerned.

        It looks twice a second, for the sake of signals: see `Stop.wait`.
        """
        while self._test is not None and not self._test.wait_settled(_LOOK_EVERY_S):
            pass

    def join(self) -> None:
        """Have the worker registered: at once, or as soon as its address has been tested."""
        self._wanted.set()

    def leave(self) -> None:
        """Undo what was done, once. A registry that does not answer cleans up by itself later."""
        self._stop.set()
        self._wanted.set()
        for thread in (self._thread, self._wan_thread):
            if thread.is_alive():
                thread.join()
        if self._joined and self._registration is not None:
            self._joined = False
            self._registration.stop()

    def _run(self) -> None:
        if self._test is not None and not self._test.run(self._stop):
            return
        self._wanted.wait()
        while not (
            self._wan_test is None or self._stop.is_set() or self._wan_test.wait_settled(_LOOK_EVERY_S)
        ):
            pass
        if self._registration is not None and not self._stop.is_set():
            self._joined = True
            self._registration.start()

    def _test_wan(self) -> None:
        if self._wan_test is not None:
            self._wan_test.run(self._stop)
