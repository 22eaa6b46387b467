"""`tfleet rollout`, `promote` and `rollback` on both registries: plans, exit codes, lines, JSON."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.client.conftest import Command
from tests.support.canned_server import nobody
from tests.support.registered_models import RegisteredModels
from tests.support.waiting import eventually_sync
from tfleet.deploy.cli import cli
from tfleet.discovery.plan import Canary, Plan

pytestmark = pytest.mark.process

EMBEDDED = pytest.mark.parametrize("registry", ["embedded"], indirect=True)
RUNNING = Plan("1", Canary("2", 10.0))
NO_PROXY = "no proxy is registered as {}-proxy that could show it"


def tfleet(registered: RegisteredModels, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, *registered.options], prog_name="tfleet")


def document(done: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_version_is_rolled_out_promoted_and_rolled_back(flowers: RegisteredModels) -> None:
    with flowers.proxy(flowers.plan), flowers.proxy(flowers.plan):
        done = tfleet(flowers, "rollout", "flowers", "2")
        assert done.exit_code == 0, done.output
        line = (
            "flowers: version 2 gets 10 % of the requests, version 1 the rest; 2 proxies with the new plan\n"
        )
        assert done.stdout == line
        assert flowers.plan("flowers") == RUNNING
        options = ("--percent", "50", "--sticky", "header:X-Session", "--no-auto-rollback")
        done = tfleet(flowers, "rollout", "flowers", "2", *options, "--label", "new")
        assert "version 2 gets 50 % of the requests, version 1" in done.stdout
        canary = Canary("2", 50.0, False)
        labels = {"new": "2"}
        assert flowers.plan("flowers") == Plan("1", canary, "", labels, "header:X-Session")
        done = tfleet(flowers, "promote", "flowers")
        assert (done.exit_code, done.stdout) == (
            0,
            "flowers: version 2 gets all requests; 2 proxies with the new plan\n",
        )
        assert flowers.plan("flowers") == Plan("2", None, "1", labels, "header:X-Session")
        done = tfleet(flowers, "rollback", "flowers", "--reason", "bad labels")
        assert (done.exit_code, done.stdout) == (
            0,
            "flowers: version 1 gets all requests; 2 proxies with the new plan\n",
        )
        after = Plan("1", None, "2", labels, "header:X-Session", "bad labels")
        assert flowers.plan("flowers") == after


def test_a_version_is_compared_before_it_serves(flowers: RegisteredModels) -> None:
    with flowers.proxy(flowers.plan):
        done = tfleet(flowers, "rollout", "flowers", "2", "--mirror", "5")
        assert (done.exit_code, done.stdout) == (
            0,
            "flowers: version 2 gets 0 % of the requests, version 1 the rest, of which 5 % are mirrored to "
            "version 2; 1 proxy with the new plan\n",
        )
        assert flowers.plan("flowers") == Plan("1", Canary("2", 0.0, mirror=5.0))
        done = tfleet(flowers, "rollout", "flowers", "2", "--percent", "10")
        assert flowers.plan("flowers") == Plan("1", Canary("2", 10.0, mirror=5.0))
        assert tfleet(flowers, "promote", "flowers").exit_code == 0
    assert flowers.plan("flowers") == Plan("2", previous="1")


def test_the_last_rollback_is_told_before_another_rollout(flowers: RegisteredModels) -> None:
    flowers.write("flowers", Plan("1", reason="20 of 40 requests failed"))
    done = tfleet(flowers, "rollout", "flowers", "2", "--percent", "5")
    assert done.exit_code == 0
    assert "the last canary of flowers was rolled back: 20 of 40 requests failed\n" in done.stderr
    assert flowers.plan("flowers") == Plan("1", Canary("2", 5.0))


@pytest.mark.parametrize(
    "command", [("rollout", "flowers", "2"), ("promote", "flowers"), ("rollback", "flowers")]
)
def test_a_dry_run_writes_nothing(flowers: RegisteredModels, command: tuple[str, ...]) -> None:
    flowers.write("flowers", RUNNING)
    before = flowers.stored("flowers")
    done = tfleet(flowers, *command, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "; nothing was written" in done.stdout
    found = document(tfleet(flowers, *command, "--dry-run", "--json"))
    assert (found["dry_run"], found["written"], found["outcome"]) == (True, False, None)
    assert flowers.stored("flowers") == before


def test_json_is_one_document(flowers: RegisteredModels) -> None:
    with flowers.proxy(flowers.plan) as proxy:
        done = tfleet(flowers, "rollout", "flowers", "2", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    found = document(done)
    plan = {"stable": "1", "canary": "2", "percent": 10.0, "mirror": 0.0, "auto_rollback": True}
    plan |= {"previous": "", "sticky": "", "reason": "", "labels": {}}
    address = str(proxy.address)
    assert found == {
        "service": flowers.service,
        "model": "flowers",
        "dry_run": False,
        "written": True,
        "before": None,
        "plan": plan,
        "outcome": "followed",
        "plan_now": plan,
        "versions": [
            {"version": "2", "workers": 1, "ready": 1, "percent": 10.0, "role": "canary"},
            {"version": "1", "workers": 2, "ready": 2, "percent": 90.0, "role": "stable"},
        ],
        "proxies": [{"id": proxy.id, "address": address, "shows_plan": True, "problem": ""}],
        "problem": "",
    }


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (
            ("rollout", "flowers", "3"),
            "no worker of flowers version 3 is ready: start one first, or use --wait. ",
        ),
        (("rollout", "flowrs", "2"), "there is no model flowrs: there is flowers"),
        (
            ("rollout", "flowers", "1", "--percent", "10"),
            "version 1 is the stable version of flowers already",
        ),
        (
            ("rollout", "flowers", "2", "--sticky", "cookie"),
            "sticky is 'cookie': expected request-id or header:",
        ),
        (("rollout", "flowers", "2", "--percent", "nan"), "percent is nan: expected a number from 0 to 100"),
        (("rollout", "flowers", "2", "--label", "canary"), "the label canary is the plan's canary version"),
        (("promote", "flowers"), "flowers has no plan: start with `tfleet rollout`"),
        (("rollback", "flowers"), "flowers has no plan: start with `tfleet rollout`"),
    ],
)
@EMBEDDED
def test_what_can_t_be_done_is_a_line(flowers: RegisteredModels, command: tuple[str, ...], line: str) -> None:
    for options in ((), ("--dry-run",), ("--json",)):
        done = tfleet(flowers, *command, *options)
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith(f"tfleet {command[0]}: {line}")
        assert done.stderr.count("\n") == 1
    assert flowers.plan("flowers") is None


def test_what_serves_can_be_kept_before_others_start(flowers: RegisteredModels) -> None:
    done = tfleet(flowers, "rollout", "flowers", "1")
    assert done.stdout.startswith(f"flowers: version 1 gets all requests; {NO_PROXY.format(flowers.service)}")
    flowers.add("flowers", "2", 5)
    (model,) = document(tfleet(flowers, "models", "--json"))["models"]
    shares = {row["version"]: row["percent"] for row in model["versions"]}
    assert shares == {"1": 100.0, "2": 0.0}


def test_wait_waits_for_a_worker_and_keeps_what_serves(flowers: RegisteredModels) -> None:
    done: list[Result] = []
    waiting = threading.Thread(
        target=lambda: done.append(tfleet(flowers, "rollout", "flowers", "3", "--wait"))
    )
    waiting.start()
    eventually_sync(lambda: flowers.plan("flowers"), wanted=lambda plan: plan == Plan("1"))
    flowers.add("flowers", "3", 9)
    waiting.join()
    assert done[0].exit_code == 0, done[0].output
    assert "flowers: version 1 gets all requests until version 3 is ready\n" in done[0].stderr
    assert "waiting for a worker of flowers version 3: version 2, 1 of 1 worker ready" in done[0].stderr
    assert flowers.plan("flowers") == Plan("1", Canary("3", 10.0))


def test_wait_ends_with_a_line_when_no_worker_comes(flowers: RegisteredModels) -> None:
    done = tfleet(flowers, "rollout", "flowers", "3", "--wait", "--timeout", "0.2")
    assert (done.exit_code, done.stdout) == (1, "")
    line = "tfleet rollout: no worker of flowers version 3 was ready within 0.2 s"
    assert done.stderr.splitlines()[-1] == line


def test_proxies_that_do_not_follow_are_named(flowers: RegisteredModels) -> None:
    with flowers.proxy(flowers.plan), flowers.proxy(lambda _: None) as late:
        done = tfleet(flowers, "rollout", "flowers", "2", "--timeout", "1.2")
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.splitlines() == [
            "flowers: version 2 canary, 1 of 1 worker ready, 10 %; version 1 stable, 2 of 2 workers ready, "
            "90 %; 1 of 2 proxies with the new plan",
            "flowers: the plan is written, but 1 of 2 proxies did not show it within 1.2 s:",
            f"  {late.id} at {late.address}: it has no plan of the model yet",
        ]
        done = tfleet(flowers, "rollout", "flowers", "2", "--timeout", "0.3", "--json")
    assert done.exit_code == 1
    found = document(done)
    assert (found["written"], found["outcome"]) == (False, "late")
    assert [row["shows_plan"] for row in found["proxies"] if row["id"] == late.id] == [False]


@pytest.mark.parametrize(
    ("after", "line"),
    [
        (Plan("1", reason="8 of 20 requests failed"), "version 2 was rolled back: 8 of 20 requests failed"),
        (Plan("2", previous="1"), "somebody else has changed it since: version 2 is stable"),
        (Plan("1", Canary("2", 60.0)), "changed it since: version 1 is stable, version 2 gets 60 %"),
        (None, "somebody else has ended it"),
    ],
)
def test_a_change_meanwhile_is_told(flowers: RegisteredModels, after: Plan | None, line: str) -> None:
    def shows(model: str) -> Plan | None:
        flowers.write(model, after)
        return None

    with flowers.proxy(shows):
        done = tfleet(flowers, "rollout", "flowers", "2")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("flowers: ")
    assert done.stderr.splitlines()[-1].endswith(line)
    assert flowers.plan("flowers") == after


def test_json_has_the_plan_that_replaced_it(flowers: RegisteredModels) -> None:
    after = Plan("1", reason="8 of 20 requests failed")

    def shows(model: str) -> Plan | None:
        flowers.write(model, after)
        return None

    with flowers.proxy(shows):
        done = tfleet(flowers, "rollout", "flowers", "2", "--json")
    found = document(done)
    assert (done.exit_code, found["outcome"], found["plan_now"]["reason"]) == (1, "changed", after.reason)


@EMBEDDED
def test_a_terminal_shows_a_line_that_changes(flowers: RegisteredModels) -> None:
    plans = [None, None, RUNNING, RUNNING]
    with flowers.proxy(lambda _: plans.pop(0) if plans else RUNNING):
        screen = Command("rollout").on_a_terminal("flowers", "2", *flowers.options, columns=200)
    assert "0 of 1 proxy with the new plan" in screen
    assert "flowers: version 2 gets 10 % of the requests, version 1 the rest; 1 proxy" in screen


@EMBEDDED
def test_a_fixed_list_has_no_plans(flowers: RegisteredModels) -> None:
    for command in (("rollout", "m", "1"), ("promote", "m"), ("rollback", "m"), ("models",)):
        done = CliRunner().invoke(cli, [*command, "--registry", "static:127.0.0.1:8000"])
        assert done.exit_code == 2
        assert "--registry static: is a fixed list: plans need a registry that keeps them" in done.stderr


def test_a_registry_that_does_not_answer_is_named() -> None:
    away = nobody()
    for command in (("rollout", "m", "1"), ("promote", "m"), ("rollback", "m"), ("models",)):
        done = CliRunner().invoke(cli, [*command, "--registry", f"consul://{away}"])
        assert (done.exit_code, done.stdout) == (1, "")
        line = f"tfleet {command[0]}: the registry at {away} does not answer: connection refused\n"
        assert done.stderr.lower() == line
