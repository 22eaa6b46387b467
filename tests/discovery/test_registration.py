import threading
from collections import deque
from collections.abc import Iterator

import pytest

from tfleet.discovery.address import Address
from tfleet.discovery.errors import (
    RegistryError,
    RegistryRefusedError,
    RegistryUnavailableError,
    UnknownServiceError,
)
from tfleet.discovery.instance import Instance
from tfleet.discovery.registration import Registration

WORKER = Instance("w1", Address("127.0.0.1", 8000))


class ScriptedAgent:
    """Fails as it is told, once for each error in the script, and remembers what was asked."""

    def __init__(self, **script: list[RegistryError]) -> None:
        self._script = {name: deque(errors) for name, errors in script.items()}
        self._calls: list[str] = []
        self._changed = threading.Condition()

    def register(self, instance: Instance) -> None:
        self._called("register", instance)

    def heartbeat(self, instance: Instance) -> None:
        self._called("heartbeat", instance)

    def deregister(self, instance: Instance) -> None:
        self._called("deregister", instance)

    def wait_for(self, *calls: str) -> list[str]:
        """Block until the calls begin with these; fails after ten seconds."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._calls) >= len(calls), timeout=10), self._calls
            assert self._calls[: len(calls)] == list(calls)
            return self._calls

    def _called(self, name: str, instance: Instance) -> None:
        assert instance is WORKER
        with self._changed:
            self._calls.append(name)
            self._changed.notify_all()
            errors = self._script.get(name)
            if errors:
                raise errors.popleft()


@pytest.fixture
def started() -> Iterator[list[Registration]]:
    running: list[Registration] = []
    yield running
    for registration in running:
        registration.stop()


def start(agent: ScriptedAgent, running: list[Registration]) -> Registration:
    registration = Registration(agent, WORKER, heartbeat_s=0.001)
    running.append(registration)
    registration.start()
    return registration


def test_it_registers_once_and_then_sends_heartbeats(started: list[Registration]) -> None:
    agent = ScriptedAgent()
    registration = start(agent, started)
    agent.wait_for("register", "heartbeat", "heartbeat", "heartbeat")
    assert registration.wait_registered(0)
    assert repr(registration) == "<Registration w1 registered=True>"


def test_it_registers_again_when_the_registry_has_lost_it(started: list[Registration]) -> None:
    agent = ScriptedAgent(heartbeat=[UnknownServiceError("lost")])
    start(agent, started)
    agent.wait_for("register", "heartbeat", "register", "heartbeat")


@pytest.mark.parametrize("error", [RegistryUnavailableError("down"), RegistryRefusedError("no")])
def test_it_goes_on_trying_while_the_registry_is_away(
    error: RegistryError, started: list[Registration]
) -> None:
    agent = ScriptedAgent(register=[error, error])
    registration = start(agent, started)
    agent.wait_for("register", "register", "register", "heartbeat")
    assert registration.wait_registered(0)


def test_a_lost_heartbeat_is_not_taken_for_a_lost_registration(started: list[Registration]) -> None:
    agent = ScriptedAgent(heartbeat=[RegistryUnavailableError("down")])
    start(agent, started)
    agent.wait_for("register", "heartbeat", "heartbeat")


def test_stopping_deregisters_and_sends_nothing_after_it() -> None:
    agent = ScriptedAgent()
    registration = Registration(agent, WORKER, heartbeat_s=60)
    registration.start()
    agent.wait_for("register")
    registration.stop()
    assert agent.wait_for("register") == ["register", "deregister"]


def test_stopping_does_not_fail_with_the_registry() -> None:
    agent = ScriptedAgent(deregister=[RegistryUnavailableError("down")])
    registration = Registration(agent, WORKER, heartbeat_s=60)
    registration.start()
    registration.stop()
    assert agent.wait_for()[-1] == "deregister"


def test_it_is_not_registered_before_the_registry_took_it() -> None:
    registration = Registration(ScriptedAgent(), WORKER)
    assert not registration.wait_registered(0)
