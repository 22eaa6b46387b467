"""Keeps one worker registered for as long as it wants to be found."""

from __future__ import annotations

import random
import threading
from typing import Any, Final

import structlog

from tfleet.discovery.agent import Agent
from tfleet.discovery.backoff import Backoff
from tfleet.discovery.errors import RegistryError, UnknownServiceError
from tfleet.discovery.instance import Instance

TTL_S: Final = 10.0
HEARTBEAT_S: Final = TTL_S / 3  # two may be lost before the registry gives the worker up

_RETRY = Backoff(first_s=0.25, cap_s=HEARTBEAT_S)


class Registration:
    """Registers an instance, sends its heartbeats and registers again whenever the registry lost it.

    It runs in a thread of its own from `start` to `stop`. A registry that does not answer is no reason to
    stop serving: it is tried again, with back-off, for as long as the worker lives.
    """

    def __init__(
        self,
        agent: Agent,
        instance: Instance,
        *,
        heartbeat_s: float = HEARTBEAT_S,
        rng: random.Random | None = None,
    ) -> None:
        self.instance = instance
        self._agent = agent
        self._heartbeat_s = heartbeat_s
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._log: Any = structlog.get_logger().bind(worker=instance.id)
        self._stop = threading.Event()
        self._registered = threading.Event()
        self._thread = threading.Thread(target=self._run, name="registration")

    def __repr__(self) -> str:
        return f"<Registration {self.instance.id} registered={self._registered.is_set()}>"

    def start(self) -> None:
        """Begin. Returns at once: the first registration is the thread's."""
        self._thread.start()

    def wait_registered(self, timeout_s: float) -> bool:
        """Whether the registry has taken the instance within `timeout_s`."""
        return self._registered.wait(timeout_s)

    def stop(self) -> None:
        """End the heartbeats and deregister. A registry that does not answer cleans up by itself later."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            self._agent.deregister(self.instance)
        except RegistryError as error:
            self._log.warning("not deregistered", error=str(error))
        else:
            self._log.info("deregistered")

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                self._keep()
            except UnknownServiceError:
                self._log.warning("the registry lost this worker, registering again")
                self._registered.clear()
                # Others lost it at the same moment: a short, random pause keeps them from one stampede.
                delay_s = self._rng.random() * _RETRY.first_s
            except RegistryError as error:
                failures += 1
                delay_s = _RETRY.delay_s(failures, self._rng)
                # The first of a row and then about one a minute: an outage is one event, not a flood.
                if failures == 1 or failures % 16 == 0:
                    self._log.warning(
                        "registration failed, trying again", error=str(error), failures=failures
                    )
            else:
                if failures:
                    self._log.info("the registry is back", failures=failures)
                failures = 0
                delay_s = self._heartbeat_s
            self._stop.wait(delay_s)

    def _keep(self) -> None:
        if self._registered.is_set():
            self._agent.heartbeat(self.instance)
        else:
            self._agent.register(self.instance)
            self._registered.set()
            self._log.info("registered", address=str(self.instance.address))
