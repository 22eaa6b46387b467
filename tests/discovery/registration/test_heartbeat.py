import random
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.canned_server import nobody
from tfleet.contract.address import Address
from tfleet.discovery.errors import (
    AddressHeldError,
    Loss,
    RegistrationLostError,
    RegistryError,
    RegistryRefusedError,
    RegistryUnavailableError,
)
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import Listing, ListingStatus
from tfleet.discovery.registration.conflicts import AddressOwner
from tfleet.discovery.registration.heartbeat import HEARTBEAT_S, TTL_S, Registration

WHOLE_WITHIN_S = 10.0

WORKER = Instance("w1", Address("127.0.0.1", 8000))
RIVAL = Listing(Instance("w0", WORKER.address), "node", ListingStatus.PASSING)


class ScriptedAgent:
    """Fails as it is told, once for each error in the script, and remembers what was asked.

    At the worker's address it lists `rivals`, which is not in the record of calls.
    """

    def __init__(self, *rivals: Listing, **script: Sequence[Exception]) -> None:
        self.address = nobody()
        self.rivals = list(rivals)
        self.answering = frozenset({"a"})
        self.calls: list[str] = []
        self._script = {name: deque(errors) for name, errors in script.items()}
        self._changed = threading.Condition()

    def register(self, instance: Instance) -> None:
        self._called("register", instance)

    def heartbeat(self, instance: Instance) -> None:
        self._called("heartbeat", instance)

    def verify_listed(self, instance: Instance) -> None:
        self._called("look", instance)

    def nodes(self, instance: Instance) -> frozenset[str]:
        self._called("nodes", instance)
        return self.answering

    def listed_at(self, address: Address) -> tuple[Listing, ...]:
        assert address == WORKER.address
        self._fail("listed_at")
        return tuple(self.rivals)

    def deregister(self, instance: Instance) -> None:
        self.rivals = [rival for rival in self.rivals if rival.instance != instance]
        self._called("deregister", instance)

    def wait_for(self, *calls: str) -> list[str]:
        """Block until the calls begin with these; fails after ten seconds."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.calls) >= len(calls), timeout=10), self.calls
            assert self.calls[: len(calls)] == list(calls)
            return self.calls

    def _called(self, name: str, instance: Instance) -> None:
        with self._changed:
            self.calls.append(name if instance is WORKER else f"{name} {instance.id}")
            self._changed.notify_all()
            self._fail(name)

    def _fail(self, name: str) -> None:
        errors = self._script.get(name)
        if errors:
            raise errors.popleft()


@pytest.fixture
def started() -> Iterator[list[Registration]]:
    running: list[Registration] = []
    yield running
    for registration in running:
        registration.stop()


def make(agent: ScriptedAgent, answering: str = "w1") -> Registration:
    return Registration(agent, WORKER, heartbeat_s=0.001, ask=lambda _: AddressOwner(answering))


def start(agent: ScriptedAgent, running: list[Registration], answering: str = "w1") -> Registration:
    running.append(registration := make(agent, answering))
    registration.start()
    return registration


def lost(loss: Loss) -> RegistrationLostError:
    return RegistrationLostError(loss, "lost")


def test_a_worker_registers_once_and_then_sends_heartbeats(started: list[Registration]) -> None:
    agent = ScriptedAgent()
    registration = start(agent, started)
    agent.wait_for("register", "heartbeat", "look", "heartbeat", "look")
    assert registration.registered
    assert repr(registration).startswith("<Registration w1 registered=True <LastContact failures=0 age=")


def test_a_worker_lost_by_the_agent_registers_again(started: list[Registration]) -> None:
    agent = ScriptedAgent(heartbeat=[lost(Loss.FORGOTTEN)])
    registration = start(agent, started)
    agent.wait_for("register", "heartbeat", "register", "heartbeat", "look")
    assert registration.losses == {Loss.FORGOTTEN: 1}


@pytest.mark.parametrize("loss", [Loss.UNLISTED, Loss.NOT_PASSING])
def test_a_wrong_catalog_entry_is_registered_again(loss: Loss, started: list[Registration]) -> None:
    agent = ScriptedAgent(look=[lost(loss)])
    registration = start(agent, started)
    agent.wait_for("register", "heartbeat", "look", "register", "heartbeat")
    assert registration.losses == {loss: 1}


def test_futile_re_registration_backs_off() -> None:
    now_s = 0.0
    agent = ScriptedAgent(look=[lost(Loss.UNLISTED)] * 100)
    registration = Registration(agent, WORKER, ask=lambda _: AddressOwner(), clock=lambda: now_s)
    looked_s = []
    while now_s < 1000:
        before = agent.calls.count("look")
        now_s += registration.step()
        if agent.calls.count("look") > before:
            looked_s.append(now_s)
    pauses_s = [later - earlier for earlier, later in pairwise(looked_s)]
    assert pauses_s[0] < 2 * HEARTBEAT_S
    assert 30 <= pauses_s[-1] <= 60 + 2 * HEARTBEAT_S
    assert agent.calls.count("heartbeat") > 250, "heartbeats go on as before"


@pytest.mark.parametrize("error", [RegistryUnavailableError("down"), RegistryRefusedError("no")])
def test_registration_is_retried_while_the_registry_is_away(
    error: RegistryError, started: list[Registration]
) -> None:
    agent = ScriptedAgent(register=[error, error])
    registration = start(agent, started)
    agent.wait_for("register", "register", "register", "heartbeat")
    assert registration.registered
    assert registration.contact.failures == 2


def test_an_unexpected_error_does_not_end_the_heartbeats(started: list[Registration]) -> None:
    agent = ScriptedAgent(heartbeat=[ZeroDivisionError()])
    start(agent, started)
    agent.wait_for("register", "heartbeat", "heartbeat", "look")


@pytest.mark.parametrize("name", ["heartbeat", "look"])
def test_a_failed_call_is_no_lost_registration(name: str, started: list[Registration]) -> None:
    agent = ScriptedAgent(**{name: [RegistryUnavailableError("down")]})
    registration = start(agent, started)
    calls = ["register", "heartbeat", "look", "heartbeat"]
    agent.wait_for(*([call for call in calls if call != "look"] if name == "heartbeat" else calls))
    assert registration.registered
    assert not registration.losses


def test_stopping_deregisters_and_sends_nothing_after_it() -> None:
    agent = ScriptedAgent()
    registration = Registration(agent, WORKER, heartbeat_s=60)
    registration.start()
    agent.wait_for("register")
    registration.stop()
    assert agent.wait_for("register") == ["register", "deregister"]
    assert not registration.registered


def test_stopping_does_not_fail_with_the_registry() -> None:
    agent = ScriptedAgent(deregister=[RegistryUnavailableError("down")])
    registration = Registration(agent, WORKER, heartbeat_s=60)
    registration.start()
    registration.stop()
    assert agent.wait_for()[-1] == "deregister"


def test_a_new_registration_is_not_registered_yet() -> None:
    assert not make(ScriptedAgent()).registered


def test_a_stale_entry_is_removed_before_registering() -> None:
    agent = ScriptedAgent(RIVAL)
    registration = make(agent, answering="w1")
    registration.check_address()
    assert agent.calls == ["deregister w0"]
    assert registration.removed_stale == 1
    registration.step()
    assert agent.calls == ["deregister w0", "register"]


def test_an_address_in_use_by_another_is_refused() -> None:
    agent = ScriptedAgent(RIVAL)
    with pytest.raises(AddressHeldError, match=r"127\.0\.0\.1:8000 .* w0 .*--advertise"):
        make(agent, answering="w0").check_address()
    assert agent.calls == []


def test_a_failed_claim_is_repeated_before_registering() -> None:
    agent = ScriptedAgent(RIVAL, listed_at=[RegistryUnavailableError("down")])
    registration = make(agent, answering="w0")
    registration.check_address()
    assert registration.contact.failures == 1
    registration.step()
    assert not registration.registered
    assert agent.calls == [], "who holds the address keeps it"
    agent.rivals.clear()
    registration.step()
    assert agent.calls == ["register"]


def test_a_later_entry_at_its_address_is_left_alone() -> None:
    agent = ScriptedAgent(heartbeat=[lost(Loss.FORGOTTEN)])
    registration = make(agent)
    registration.step()
    agent.rivals.append(RIVAL)
    registration.step()
    registration.step()
    assert agent.calls == ["register", "heartbeat", "register"]


class RegistryWithAFate:
    """Knows one worker at most, loses it in every way there is, and takes its time while it is cut off.

    `events` are (seconds, name of a method) in order; they happen as the clock passes them.
    """

    TIMEOUT_S = 3.0
    GIVEN_UP_AFTER_S = TTL_S + 60.0

    def __init__(self, events: list[tuple[float, str]]) -> None:
        self.address = nobody()
        self.now_s = 0.0
        self._events = deque(events)
        self._known = False
        self._listed = False
        self._status = ListingStatus.PASSING
        self._cut = False
        self._beat_s = 0.0

    def whole(self) -> bool:
        return not self._cut and self._known and self._listed and self._status is ListingStatus.PASSING

    def pass_time(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        while self._events and self._events[0][0] <= until_s:
            at_s, event = self._events.popleft()
            self._reach(at_s)
            getattr(self, event)()
        self._reach(until_s)

    def _reach(self, at_s: float) -> None:
        self.now_s = max(self.now_s, at_s)
        if self.now_s - self._beat_s > TTL_S:
            self._status = ListingStatus.CRITICAL
        if self.now_s - self._beat_s > self.GIVEN_UP_AFTER_S:
            self._known = self._listed = False

    def forget_all(self) -> None:
        self._known = self._listed = False

    def wipe_catalog(self) -> None:
        self._listed = False

    def turn_critical(self) -> None:
        self._status = ListingStatus.CRITICAL

    def cut(self) -> None:
        self._cut = True

    def mend(self) -> None:
        self._cut = False

    def _connect(self) -> None:
        self.pass_time(self.TIMEOUT_S if self._cut else 0.001)
        if self._cut:
            raise RegistryUnavailableError("timed out")

    def register(self, instance: Instance) -> None:
        self._connect()
        self._known = self._listed = True
        self._status = ListingStatus.PASSING
        self._beat_s = self.now_s

    def heartbeat(self, instance: Instance) -> None:
        self._connect()
        if not self._known:
            raise lost(Loss.FORGOTTEN)
        if self.now_s - self._beat_s > TTL_S:  # otherwise the agent sees no change, and tells nobody
            self._status = ListingStatus.PASSING
        self._beat_s = self.now_s

    def verify_listed(self, instance: Instance) -> None:
        self._connect()
        if not self._listed:
            raise lost(Loss.UNLISTED)
        if self._status is not ListingStatus.PASSING:
            raise lost(Loss.NOT_PASSING)

    def nodes(self, instance: Instance) -> frozenset[str]:
        self._connect()
        return frozenset({"node"})

    def listed_at(self, address: Address) -> tuple[Listing, ...]:
        self._connect()
        return ()

    def deregister(self, instance: Instance) -> None:
        self._connect()


_BLOWS = ("forget_all", "wipe_catalog", "turn_critical", "cut", "mend")


@given(
    blows=st.lists(st.tuples(st.floats(15, 120), st.sampled_from(_BLOWS)), max_size=12),
    seed=st.integers(0, 1000),
)
def test_registration_heals_within_ten_seconds(blows: list[tuple[float, str]], seed: int) -> None:
    """Blows that rain faster than it can look make it look more rarely; here each has its time."""
    events, at_s = [], 0.0
    for pause_s, blow in blows:
        at_s += pause_s
        events.append((at_s, blow))
    registry = RegistryWithAFate([*events, (at_s, "mend")])
    registration = Registration(
        registry, WORKER, clock=lambda: registry.now_s, rng=random.Random(seed), ask=lambda _: AddressOwner()
    )
    while registry.now_s <= at_s + WHOLE_WITHIN_S:
        pause_s = registration.step()
        registry.pass_time(min(pause_s, at_s + WHOLE_WITHIN_S + 0.001 - registry.now_s))
    assert registry.whole()
    assert registration.registered


def moving(agent: ScriptedAgent, *places: Instance) -> Registration:
    """One that is at the next place each time that it looks, and at the last one for ever."""
    left = deque(places)

    def locate(_: Instance) -> Instance:
        return left.popleft() if len(left) > 1 else left[0]

    return Registration(agent, WORKER, locate=locate, ask=lambda _: AddressOwner("w1"))


class Anywhere(ScriptedAgent):
    """Lists its rivals at whatever address."""

    def listed_at(self, address: Address) -> tuple[Listing, ...]:
        return tuple(rival for rival in self.rivals if rival.instance.address == address)


def test_a_changed_address_is_claimed_and_registered() -> None:
    moved = replace(WORKER, address=Address("127.0.0.2", 8000))
    stale = Listing(Instance("w0", moved.address), "node", ListingStatus.PASSING)
    agent = Anywhere(stale)
    registration = moving(agent, WORKER, WORKER, moved)
    for _ in range(4):
        registration.step()
    assert agent.calls == [
        "register",
        "heartbeat",
        "look",
        "deregister w0",
        "register w1",
        "heartbeat w1",
        "look w1",
    ]
    assert registration.instance == moved


def test_a_late_outside_address_goes_with_the_next_heartbeat() -> None:
    agent, outside = Anywhere(), replace(WORKER, wan=Address("outside", 1))
    registration = moving(agent, WORKER, outside)
    registration.step()
    registration.step()
    assert agent.calls == ["register", "register w1"]
    assert registration.registered
