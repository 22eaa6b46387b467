"""Keeps one worker, or one proxy, registered for as long as it wants to be found.

The rules:

- The address is claimed before the first registration, see `claim.py`.
- A heartbeat that the agent does not recognise means that it lost its state: register again.
- A heartbeat that it takes is no proof of being found: after each, the worker looks whether the catalog that
  everybody reads lists it as passing. If not, registering again makes a Consul agent push what it knows;
  left to itself it does that about once a minute. Where that does not help (a token that may not read, say),
  looks come ever more rarely. In maintenance it need not pass: that is an operator's wish.
- Where the instance is, is looked up again each time: a container may get another address while it runs. It
  keeps its id, and registers again with the address of now.
- Several agents behind one address are found out, see `several_agents.py`.
- A registry that does not answer is no reason to stop serving: it is tried again, with back-off, for as long
  as the worker lives.
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
from tfleet.discovery.registration.conflicts import AddressOwner, claim, who_answers
from tfleet.runtime.backoff import Backoff

TTL_S: Final = 10.0
HEARTBEAT_S: Final = TTL_S / 3  # two may be lost before the registry gives the worker up

_RETRY = Backoff(first_s=0.25, cap_s=HEARTBEAT_S)
_LOOK_AGAIN = Backoff(first_s=HEARTBEAT_S, cap_s=60.0)


class Registration:
    """Registers an instance, sends its heartbeats and registers again whenever the registry lost it.

    It runs in a thread of its own from `start` to `stop`. What it counts may be read at any time. `who` is
    what the log calls the instance. `locate` gives it with the addresses that it has now.
    """

    def __init__(
        self,
        agent: RegistryAgent,
        instance: Instance,
        *,
        who: Literal["worker", "proxy"] = "worker",
        heartbeat_s: float = HEARTBEAT_S,
        locate: Callable[[Instance], Instance] = lambda instance: instance,
        ask: Callable[[Address], AddressOwner] = who_answers,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self.instance = instance
        self.contact = LastContact(clock)
        self.losses: Counter[Loss] = Counter()
        """How often it had to register again, by the reason."""
        self.corpses = 0
        """How many registrations of the dead at this address it removed."""
        self._agent = agent
        self._who = who
        self._heartbeat_s = heartbeat_s
        self._locate = locate
        self._ask = ask
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._log: Any = structlog.get_logger().bind(**{who: instance.id})
        self._others = SeveralAgents(self._rng)
        self._claimed = False
        self._failures = 0
        self._repairs = 0
        self._look_at_s = clock()
        self._stop = threading.Event()
        self._registered = threading.Event()
        self._thread = threading.Thread(target=self._run, name="registration")

    def __repr__(self) -> str:
        return f"<Registration {self.instance.id} registered={self.registered} {self.contact!r}>"

    @property
    def registered(self) -> bool:
        """Whether the registry has the instance, as far as this side knows."""
        return self._registered.is_set()

    def claim(self) -> None:
        """Make sure that the address is ours, before anything is registered. Raises AddressHeldError.

        A registry that does not answer is asked again before the first registration; then who holds the
        address keeps this worker from being registered, for as long as it holds it.
        """
        try:
            self._claim()
        except AddressHeldError:
            raise
        except RegistryError as error:
            self.contact.failed()
            self._log.warning("the registry can't say yet who else is at this address", error=str(error))

    def start(self) -> None:
        """Begin. Returns at once: the first registration is the thread's."""
        self._thread.start()

    def stop(self) -> None:
        """End the heartbeats and deregister. A registry that does not answer cleans up by itself later."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._registered.clear()
        try:
            self._agent.deregister(self.instance)
        except RegistryError as error:
            self._log.warning("not deregistered", error=str(error))
        else:
            self._log.info("deregistered")

    def turn(self) -> float:
        """Do what is due; seconds until something is due again. The thread does nothing else."""
        try:
            self._keep()
            self._look_for_others()
        except RegistrationLostError as lost:
            return self._lost(lost)
        except RegistryError as error:
            return self._failed(error)
        except Exception as error:  # a mistake of ours must not end the loop: who would notice?
            self._log.exception("registration failed in a way that nobody thought of")
            return self._failed(error)
        return self._kept()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._stop.wait(self.turn())

    def _keep(self) -> None:
        self._move()
        if not self.registered:
            self._claim()
            self._agent.register(self.instance)
            self._registered.set()
            self._log.info("registered", **_addresses(self.instance))
            return
        self._agent.heartbeat(self.instance)
        if self._clock() >= self._look_at_s:
            self._agent.look(self.instance)
            self._repairs = 0

    def _look_for_others(self) -> None:
        if not self._others.is_due(self._clock()):
            return
        with contextlib.suppress(RegistryError):
            nodes = self._agent.nodes(self.instance)
            if self._others.is_news(nodes):
                self._log.warning(ADVICE, registry=str(self._agent.address), nodes=sorted(nodes))

    def _move(self) -> None:
        """Be where it is now, if that is not where it was; then it has to be registered anew."""
        before, now = self.instance, self._locate(self.instance)
        if now == before:
            return
        if self.registered:
            self._log.info(f"this {self._who}'s addresses have changed", before=_addresses(before))
        self.instance = now
        self._registered.clear()
        self._claimed = self._claimed and now.address == before.address

    def _claim(self) -> None:
        if self._claimed:
            return
        for corpse in claim(self._agent, self.instance, self._ask):
            self.corpses += 1
            self._log.info(
                f"removed the registration of a dead {self._who} at this address", corpse=corpse.id
            )
        self._claimed = True

    def _kept(self) -> float:
        self.contact.heard()
        if self._failures:
            self._log.info("the registry is back", failures=self._failures)
        self._failures = 0
        self._others.kept()
        return self._heartbeat_s

    def _lost(self, lost: RegistrationLostError) -> float:
        self.losses[lost.loss] += 1
        self._registered.clear()
        if lost.loss is not Loss.FORGOTTEN:
            self._repairs += 1
            self._look_at_s = self._clock() + _LOOK_AGAIN.delay_s(self._repairs, self._rng)
        self._others.lost(lost.loss, self._clock())
        if (in_a_row := self._others.in_a_row) <= 1 or in_a_row % 16 == 0:
            self._log.warning(f"the registry lost this {self._who}, registering again", error=str(lost))
        if in_a_row > 1:
            self._look_for_others()
            return _RETRY.delay_s(in_a_row, self._rng)
        # Others lost it at the same moment: a short, random pause keeps them from one stampede.
        return self._rng.random() * _RETRY.first_s

    def _failed(self, error: Exception) -> float:
        self.contact.failed()
        self._failures += 1
        # The first of a row and then about one a minute: an outage is one event, not a flood.
        if self._failures == 1 or self._failures % 16 == 0:
            self._log.warning("registration failed, trying again", error=str(error), failures=self._failures)
        return _RETRY.delay_s(self._failures, self._rng)


def _addresses(instance: Instance) -> dict[str, str]:
    """For the log."""
    wan = {} if instance.wan is None else {"wan": str(instance.wan)}
    return {"address": str(instance.address), **wan}
