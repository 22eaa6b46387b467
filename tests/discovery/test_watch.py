import asyncio
from collections import deque
from collections.abc import Callable
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tfleet.contract.address import Address
from tfleet.discovery.consul.health import HealthResponse
from tfleet.discovery.consul.http_client import next_index
from tfleet.discovery.errors import RegistryError, RegistryUnavailableError
from tfleet.discovery.instance import Instance, RejectedEntry
from tfleet.discovery.listing import ServiceList
from tfleet.discovery.maintenance import Maintained
from tfleet.discovery.watch import Pacing, QueryResult, Watch

ONE = Instance("w1", Address("h", 1))
TWO = Instance("w2", Address("h", 2))

Step = HealthResponse | RegistryError


class ScriptedHealth:
    """Answers as it is told and then blocks for ever, as a registry without news does."""

    def __init__(self, *steps: Step) -> None:
        self._steps = deque(steps)
        self.asked: list[int] = []
        self.done = asyncio.Event()

    async def service(self, service: str, index: int, wait_s: float) -> HealthResponse:
        self.asked.append(index)
        if not self._steps:
            self.done.set()
            await asyncio.Event().wait()
        step = self._steps.popleft()
        if isinstance(step, RegistryError):
            raise step
        return step


class Heard:
    """What a watch told, and how long it slept, on a clock that only its sleep moves."""

    def __init__(self) -> None:
        self.lists: list[tuple[Instance, ...]] = []
        self.rolls: list[ServiceList] = []
        self.in_order: list[bool] = []
        self.slept_s: list[float] = []
        self.watch: Watch

    def clock(self) -> float:
        return sum(self.slept_s)

    def changed(self, roll: ServiceList) -> None:
        self.rolls.append(roll)
        self.lists.append(roll.passing)

    def heard(self, in_order: bool) -> None:
        self.in_order.append(in_order)

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)


async def run_through(health: ScriptedHealth, on_change: Callable[..., None] | None = None) -> Heard:
    heard = Heard()
    heard.watch = Watch(
        health,
        "tfleet",
        on_change or heard.changed,
        on_check=heard.heard,
        pacing=Pacing(heard.clock, heard.sleep),
    )
    task = asyncio.ensure_future(heard.watch.run())
    done = asyncio.ensure_future(health.done.wait())
    await asyncio.wait({task, done}, return_when=asyncio.FIRST_COMPLETED, timeout=10)
    done.cancel()
    if task.done():
        task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return heard


async def test_each_new_list_is_passed_on_once_and_the_index_follows() -> None:
    health = ScriptedHealth(
        HealthResponse(3, ServiceList((ONE,))), HealthResponse(5, ServiceList((ONE, TWO)))
    )
    heard = await run_through(health)
    assert heard.lists == [(ONE,), (ONE, TWO)]
    assert health.asked == [0, 3, 5]
    assert heard.slept_s == []
    assert heard.watch.results == {QueryResult.CHANGED: 2}


async def test_an_empty_first_list_is_passed_on_too() -> None:
    assert (await run_through(ScriptedHealth(HealthResponse(3, ServiceList(()))))).lists == [()]


async def test_a_spurious_wake_changes_nothing() -> None:
    heard = await run_through(
        ScriptedHealth(HealthResponse(3, ServiceList((ONE,))), HealthResponse(3, ServiceList((ONE,))))
    )
    assert heard.lists == [(ONE,)]
    assert heard.slept_s == []
    assert heard.watch.results == {QueryResult.CHANGED: 1, QueryResult.UNCHANGED: 1}


async def test_a_list_that_becomes_empty_is_passed_on_and_counted() -> None:
    heard = await run_through(
        ScriptedHealth(HealthResponse(3, ServiceList((ONE,))), HealthResponse(4, ServiceList(())))
    )
    assert heard.lists == [(ONE,), ()]
    assert heard.watch.results == {QueryResult.CHANGED: 1, QueryResult.EMPTY: 1}


async def test_a_registry_that_never_blocks_causes_no_busy_loop() -> None:
    heard = await run_through(ScriptedHealth(*[HealthResponse(3, ServiceList((ONE,)))] * 6))
    assert len(heard.slept_s) == 4
    assert all(seconds > 0 for seconds in heard.slept_s)


async def test_after_a_failure_the_next_query_starts_afresh() -> None:
    health = ScriptedHealth(
        HealthResponse(7, ServiceList((ONE,))),
        RegistryUnavailableError("down"),
        RegistryUnavailableError("down"),
        HealthResponse(2, ServiceList((ONE,))),
    )
    heard = await run_through(health)
    assert heard.lists == [(ONE,)]
    assert health.asked == [0, 7, 0, 0, 2]
    assert len(heard.slept_s) == 2
    assert heard.slept_s[1] > heard.slept_s[0] / 2
    assert heard.watch.contact.failures == 2
    assert heard.watch.index_resets == 0, "it is the watch that began anew"
    assert heard.watch.contact.age_s == 0.0


async def test_an_index_that_went_backwards_starts_at_zero() -> None:
    health = ScriptedHealth(
        HealthResponse(9, ServiceList((ONE,))),
        HealthResponse(4, ServiceList((TWO,))),
        HealthResponse(4, ServiceList((TWO,))),
    )
    heard = await run_through(health)
    assert health.asked == [0, 9, 0, 4]
    assert heard.watch.index_resets == 1
    assert heard.lists == [(ONE,), (TWO,)]


_ANSWERS = st.builds(
    HealthResponse,
    st.integers(-1, 20),
    st.sampled_from([ServiceList(), ServiceList((ONE,)), ServiceList((TWO,)), ServiceList((ONE, TWO))]),
)


@given(st.lists(st.one_of(_ANSWERS, st.just(RegistryUnavailableError("down"))), max_size=40))
def test_the_rules_hold_for_any_answers(steps: list[Step]) -> None:
    health = ScriptedHealth(*steps)
    heard = asyncio.run(run_through(health))
    answers = [step for step in steps if isinstance(step, HealthResponse)]
    watch = heard.watch
    # Each change is told once, and a failure tells nothing.
    assert heard.lists == [instances for instances, _ in groupby(answer.instances for answer in answers)]
    # What is asked next follows from what was asked and answered, and from nothing else.
    asked = [0]
    for step in steps:
        asked.append(next_index(asked[-1], step.index) if isinstance(step, HealthResponse) else 0)
    assert health.asked == asked
    # Nothing that goes on for ever is a busy loop: only news and one repetition of it come without a pause.
    pauses = len(heard.slept_s)
    assert len(steps) - pauses <= 2 * len(heard.lists)
    assert all(0 < seconds <= 5 for seconds in heard.slept_s)
    # All is counted.
    assert watch.contact.failures == len(steps) - len(answers)
    assert watch.results.total() == len(answers)
    assert watch.results[QueryResult.CHANGED] + watch.results[QueryResult.EMPTY] == len(heard.lists)


async def test_the_age_counts_from_the_registrys_last_answer() -> None:
    down = RegistryUnavailableError("down")
    heard = await run_through(ScriptedHealth(down, HealthResponse(1, ServiceList((ONE,))), down, down))
    assert heard.watch.contact.age_s == pytest.approx(sum(heard.slept_s[1:]))


async def test_a_listener_that_fails_ends_the_watch() -> None:
    def broken(_: ServiceList) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run_through(ScriptedHealth(HealthResponse(1, ServiceList((ONE,)))), broken)


async def test_a_leaderless_list_is_used_but_is_no_contact() -> None:
    health = ScriptedHealth(
        RegistryUnavailableError("down"),
        HealthResponse(3, ServiceList((ONE,))),
        RegistryUnavailableError("down"),
        HealthResponse(4, ServiceList((ONE, TWO)), has_leader=False),
    )
    heard = await run_through(health)
    assert heard.lists == [(ONE,), (ONE, TWO)]
    assert heard.watch.contact.age_s == pytest.approx(heard.slept_s[-1])


async def test_losing_and_finding_a_leader_is_logged_once_each() -> None:
    has_leader, alone = (
        HealthResponse(3, ServiceList((ONE,))),
        HealthResponse(3, ServiceList((ONE,)), has_leader=False),
    )
    with capture_logs() as lines:
        await run_through(ScriptedHealth(alone, alone, has_leader, has_leader, alone))
    told = [line["event"] for line in lines if "leader" in line["event"]]
    nobody = "the registry has no leader: its list may be outdated, and no changes arrive"
    assert told == [nobody, "the registry has a leader again", nobody]


async def test_an_empty_list_logs_what_to_check() -> None:
    with capture_logs() as lines:
        watch = Watch(
            health := ScriptedHealth(
                HealthResponse(3, ServiceList(())),
                HealthResponse(4, ServiceList((ONE,))),
                HealthResponse(5, ServiceList(()), embedded=True),
            ),
            "tfleet",
            print,
            hint="h",
        )
        task = asyncio.ensure_future(watch.run())
        await health.done.wait()
        task.cancel()
    assert [line.get("hint") for line in lines] == ["h", None, None], "of the fleet's own there is none"


async def test_repr_says_that_nothing_is_known_yet() -> None:
    watch = Watch(ScriptedHealth(), "tfleet", lambda _: None)
    assert repr(watch) == "<Watch tfleet index=0 nothing yet>"


async def test_a_refusal_is_one_bounded_line() -> None:
    bad = tuple(RejectedEntry(f"x\n{n}", rf"its id is not a valid token: 'x\n{n}'") for n in range(1000))
    with capture_logs() as lines:
        await run_through(
            ScriptedHealth(
                HealthResponse(3, ServiceList((ONE,), rejected=bad)),
                HealthResponse(4, ServiceList(rejected=bad[1:])),
            )
        )
    (line,) = [line for line in lines if line["log_level"] == "warning"]
    assert line["event"] == "the registry lists unusable entries; `tfleet prune` removes them"
    assert (line["count"], line["rejected"]) == (1000, [one.reason for one in bad[:5]])


async def test_a_registry_is_in_order_if_led_and_not_empty() -> None:
    down = RegistryUnavailableError("down")
    steps: list[Step] = [
        HealthResponse(3, ServiceList((ONE,))),
        HealthResponse(3, ServiceList((ONE,))),
        HealthResponse(4, ServiceList((ONE,)), has_leader=False),
        HealthResponse(4, ServiceList((ONE,)), complete=False),
        HealthResponse(5, ServiceList()),
        HealthResponse(6, ServiceList(failing_checks=("w1",))),
        HealthResponse(7, ServiceList(maintained=(Maintained(ONE, "maintenance"),))),
        down,
    ]
    heard = await run_through(ScriptedHealth(*steps))
    assert heard.in_order == [True, True, False, False, False, False, True, False]


async def test_a_list_all_in_maintenance_is_not_empty() -> None:
    kept = ServiceList(maintained=(Maintained(ONE, "maintenance"),))
    heard = await run_through(ScriptedHealth(HealthResponse(3, ServiceList((ONE,))), HealthResponse(4, kept)))
    assert heard.rolls == [ServiceList((ONE,)), kept]
    assert heard.watch.results == {QueryResult.CHANGED: 2}
