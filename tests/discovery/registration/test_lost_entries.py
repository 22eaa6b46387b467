"""A worker whose agent forgets it again and again slows down, and says what may be the cause."""

from structlog.testing import capture_logs

from tests.discovery.registration.test_heartbeat import WORKER, ScriptedAgent, lost
from tfleet.discovery.consul.several_agents import ADVICE
from tfleet.discovery.errors import Loss
from tfleet.discovery.registration.conflicts import AddressOwner
from tfleet.discovery.registration.heartbeat import Registration


def test_repeated_losses_slow_down_the_retries() -> None:
    now_s = 0.0
    agent = ScriptedAgent(register=[lost(Loss.FORGOTTEN)] * 100)
    agent.answering = frozenset({"b", "a"})
    registration = Registration(agent, WORKER, ask=lambda _: AddressOwner(), clock=lambda: now_s)
    with capture_logs() as lines:
        while now_s < 60.0:
            now_s += registration.step()
    assert agent.calls.count("register") < 40, "it does not hammer at a registry that will not know it"
    assert agent.calls.count("nodes") == 1
    (line,) = [line for line in lines if line["event"] == ADVICE]
    assert (line["nodes"], line["log_level"]) == (["a", "b"], "warning")
    assert sum("lost" in line["event"] for line in lines) < 5


def test_one_forgetful_agent_is_not_reported_as_several() -> None:
    now_s = 0.0
    agent = ScriptedAgent(heartbeat=[lost(Loss.FORGOTTEN)])
    registration = Registration(agent, WORKER, ask=lambda _: AddressOwner(), clock=lambda: now_s)
    with capture_logs() as lines:
        while now_s < 60.0:
            now_s += registration.step()
    assert agent.calls.count("nodes") == 1, "when a restart would be over"
    assert [line for line in lines if line["event"] == ADVICE] == []
