"""Keeps one worker or proxy registered for as long as it runs.

The rules:

- Before the first registration, conflicts about the address are resolved (conflicts.py).
- A heartbeat that the agent does not recognise means that the agent lost its state: register again.
- An accepted heartbeat does not prove that clients can find the instance: after each one, the catalog that
  everybody reads must list it as passing. If it does not, registering again makes a Consul agent sync at
  once, which it otherwise does about once a minute. If that does not help (the token may not read, for
  example), the catalog is checked ever more rarely. In maintenance the instance need not be passing.
- The instance's addresses are looked up before each heartbeat, because a container's address may change. The
  instance keeps its id and registers again with the new address.
- Several agents behind one address are detected (see several_agents.py).
- An unreachable registry never stops the process from serving: registration is retried with back-off.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Literal

import structlog

from tfleet.contract.address import Address
from tfleet.discovery.consul.agent import RegistryAgent
from tfleet.discovery.consul.several_agents import ADVICE, SeveralAgents
from tfleet.discovery.contact import LastContact
from tfleet.discovery.errors import AddressHeldError, Loss, RegistrationLostError, RegistryError
from tfleet.discovery.instance import Instance
from tfleet.discovery.registration.conflicts import AddressOwner, find_address_owner, resolve_conflicts
from tfleet.runtime.backoff import Backoff

TTL_S: Final = 10.0
HEARTBEAT_S: Final = TTL_S / 3  # two may be lost before the check turns critical

_RETRY: Final = Backoff(first_s=0.25, cap_s=HEARTBEAT_S)
_VERIFY_AGAIN: Final = Backoff(first_s=HEARTBEAT_S, cap_s=60.0)
_LOG_EVERY_FAILURES: Final = 16  # about once a minute with _RETRY


class Registration:
    """Registers an instance, sends its heartbeats, and registers again when the registry lost it.

    It runs in its own thread from `start` to `stop`. The counters may be read at any time. `who` is what the
    log calls the instance. `locate` returns it with its current addresses.
    """

    def __init__(
        self,
        agent: RegistryAgent,
        instance: Instance,
        *,
        who: Literal["worker", "proxy"] = "worker",
        heartbeat_s: float = HEARTBEAT_S,
        locate: Callable[[Instance], Instance] = lambda instance: instance,
        ask: Callable[[Address], AddressOwner] = find_address_owner,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        rng = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self.instance = instance
        self.contact = LastContact(clock)
        self.losses: Counter[Loss] = Counter()
        """How often it had to register again, by reason."""
        self.removed_stale = 0
        """How many stale registrations at its address it removed."""
        self._agent = agent
        self._who = who
        self._locate = locate
        self._ask = ask
        self._log: Any = structlog.get_logger().bind(**{who: instance.id})
        self._schedule = _Schedule(heartbeat_s, clock, rng)
        self._several_agents = SeveralAgents(rng)
        self._conflicts_resolved = False
        self._stop = threading.Event()
        self._registered = threading.Event()
        self._thread = threading.Thread(target=self._run, name="registration")

    def __repr__(self) -> str:
        return f"<Registration {self.instance.id} registered={self.registered} {self.contact!r}>"

    @property
    def registered(self) -> bool:
        """Whether the registry has the instance, as far as this process knows."""
        return self._registered.is_set()

    def check_address(self) -> None:
        """Fail early if another live instance holds the address. Raises AddressHeldError.

        If the registry does not answer, the check is repeated before the first registration. From then on
        a conflict is logged and retried: it keeps the instance unregistered but never ends the process.
        """
        try:
            self._resolve_conflicts()
        except AddressHeldError:  # a RegistryError as well, but one that does not pass by itself
            raise
        except RegistryError as error:
            self.contact.failed()
            self._log.warning(
                "the registry cannot be asked yet whether this address is in use", error=str(error)
            )

    def start(self) -> None:
        """Start the thread, which registers. Returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the heartbeats and deregister. An unreachable registry removes the entry itself later."""
        self._stop.set()
        # First the thread: a step in progress could register the instance again.
        if self._thread.is_alive():
            self._thread.join()
        self._registered.clear()
        try:
            self._agent.deregister(self.instance)
        except RegistryError as error:
            self._log.warning("not deregistered", error=str(error))
        else:
            self._log.info("deregistered")

    def step(self) -> float:
        """Do what is due. Returns the seconds until something is due again."""
        try:
            self._register_or_heartbeat()
            self._look_for_several_agents()
        except RegistrationLostError as lost:
            return self._lost(lost)
        except RegistryError as error:
            return self._failed(error)
        except Exception as error:  # a bug must not end the thread: the worker would silently drop out
            self._log.exception("registration failed unexpectedly")
            return self._failed(error)
        return self._succeeded()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._stop.wait(self.step())

    def _register_or_heartbeat(self) -> None:
        self._update_addresses()
        if not self.registered:
            self._resolve_conflicts()
            self._agent.register(self.instance)
            self._registered.set()
            # The catalog is verified with the next heartbeat: right now it cannot know the instance yet.
            self._log.info("registered", **_addresses(self.instance))
            return
        # First: a check whose last heartbeat is too long ago is critical in the catalog.
        self._agent.heartbeat(self.instance)
        if self._schedule.verify_due():
            self._agent.verify_listed(self.instance)
            self._schedule.verified()

    def _look_for_several_agents(self) -> None:
        if not self._several_agents.is_due(self._schedule.clock()):
            return
        # A hint for the operator only: its failure must not count as one of the registration.
        with contextlib.suppress(RegistryError):
            nodes = self._agent.nodes(self.instance)
            if self._several_agents.is_news(nodes):
                self._log.warning(ADVICE, registry=str(self._agent.address), nodes=sorted(nodes))

    def _update_addresses(self) -> None:
        """Take the current addresses; if they changed, the instance has to register again."""
        before, now = self.instance, self._locate(self.instance)
        if now == before:
            return
        if self.registered:
            self._log.info("the advertised addresses have changed", before=_addresses(before))
        self.instance = now
        self._registered.clear()
        # Only `address` can be in conflict: the WAN address is often shared on purpose.
        self._conflicts_resolved = self._conflicts_resolved and now.address == before.address

    def _resolve_conflicts(self) -> None:
        if self._conflicts_resolved:
            return
        for stale in resolve_conflicts(self._agent, self.instance, self._ask):
            self.removed_stale += 1
            self._log.info("removed a stale registration at this address", stale=stale.id)
        self._conflicts_resolved = True

    def _succeeded(self) -> float:
        self.contact.succeeded()
        if self._schedule.failures:
            self._log.info("the registry is back", failures=self._schedule.failures)
        # Losses count as a row only while no heartbeat between them is accepted.
        self._several_agents.kept()
        return self._schedule.after_success()

    def _lost(self, lost: RegistrationLostError) -> float:
        self.losses[lost.loss] += 1
        self._registered.clear()
        # An agent that forgot the instance is fixed by registering again. A catalog that does not show it may
        # stay wrong whatever is done, so it is verified more rarely each time.
        if lost.loss is not Loss.FORGOTTEN:
            self._schedule.verify_later()
        self._several_agents.lost(lost.loss, self._schedule.clock())
        in_a_row = self._several_agents.in_a_row
        if in_a_row <= 1 or in_a_row % _LOG_EVERY_FAILURES == 0:
            self._log.warning("the registry lost this registration, registering again", error=str(lost))
        if in_a_row > 1:
            # Lost again before any heartbeat was accepted: probably another agent behind the same address.
            self._look_for_several_agents()
        return self._schedule.after_loss(in_a_row)

    def _failed(self, error: Exception) -> float:
        self.contact.failed()
        delay_s = self._schedule.after_failure()
        failures = self._schedule.failures
        # The first one and then about one a minute: an outage is one event, not a flood of lines.
        if failures == 1 or failures % _LOG_EVERY_FAILURES == 0:
            self._log.warning("registration failed, trying again", error=str(error), failures=failures)
        return delay_s


class _Schedule:
    """When the next heartbeat and the next verification are due."""

    def __init__(self, heartbeat_s: float, clock: Callable[[], float], rng: random.Random) -> None:
        self.clock = clock
        self.failures = 0
        """Consecutive failures to reach the registry."""
        self._heartbeat_s = heartbeat_s
        self._rng = rng
        self._verify_at_s = clock()
        self._failed_verifications = 0

    def verify_due(self) -> bool:
        """Whether the catalog is to be verified with this heartbeat."""
        return self.clock() >= self._verify_at_s

    def verified(self) -> None:
        """The catalog lists the instance as passing."""
        self._failed_verifications = 0

    def verify_later(self) -> None:
        """The catalog does not list it as passing: back off."""
        self._failed_verifications += 1
        self._verify_at_s = self.clock() + _VERIFY_AGAIN.delay_s(self._failed_verifications, self._rng)

    def after_success(self) -> float:
        """Seconds until the next heartbeat."""
        self.failures = 0
        return self._heartbeat_s

    def after_loss(self, in_a_row: int) -> float:
        """Seconds until the next registration, after so many losses in a row."""
        if in_a_row > 1:
            return _RETRY.delay_s(in_a_row, self._rng)
        # A registry that restarted lost all instances at once: a random pause spreads their registrations.
        return self._rng.random() * _RETRY.first_s

    def after_failure(self) -> float:
        """Seconds until the next try."""
        self.failures += 1
        return _RETRY.delay_s(self.failures, self._rng)


def _addresses(instance: Instance) -> dict[str, str]:
    """The fields for the log."""
    wan = {} if instance.wan is None else {"wan": str(instance.wan)}
    return {"address": str(instance.address), **wan}
