"""`tfleet label` on both registries: the plan, exit codes, lines, JSON."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from tests.support.canned_server import nobody
from tests.support.registered_models import RegisteredModels
from tfleet.deploy.cli import cli
from tfleet.discovery.plan import Canary, Plan

pytestmark = pytest.mark.process

EMBEDDED = pytest.mark.parametrize("registry", ["embedded"], indirect=True)
RUNNING = Plan("1", Canary("2", 10.0), labels={"prod": "1", "old": "0"})


def label(registered: RegisteredModels, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["label", "flowers", *arguments, *registered.options], prog_name="tfleet")


def test_labels_are_set_and_removed_beside_a_canary(flowers: RegisteredModels) -> None:
    flowers.write("flowers", RUNNING)
    flowers.add("flowers", "3")
    with flowers.proxy(flowers.plan):
        done = label(flowers, "prod=2", "next=3", "old-")
    assert (done.exit_code, done.stdout) == (
        0,
        "flowers: label prod means version 2, label next means version 3, label old is removed; "
        "1 proxy with the new plan\n",
    )
    assert flowers.plan("flowers") == Plan("1", Canary("2", 10.0), labels={"prod": "2", "next": "3"})


def test_a_model_without_a_plan_keeps_what_serves(flowers: RegisteredModels) -> None:
    done = label(flowers, "next=2")
    line = "flowers: version 1 gets all requests; label next means version 2; no proxy is registered"
    assert (done.exit_code, done.stdout.startswith(line)) == (0, True), done.output
    assert flowers.plan("flowers") == Plan("1", labels={"next": "2"})


def test_a_dry_run_writes_nothing(flowers: RegisteredModels) -> None:
    flowers.write("flowers", RUNNING)
    before = flowers.stored("flowers")
    done = label(flowers, "prod=2", "old-", "--dry-run")
    line = "flowers: label prod would mean version 2, label old would be removed; nothing was written\n"
    assert (done.exit_code, done.stdout) == (0, line)
    assert flowers.stored("flowers") == before


def test_json_has_the_labels_before_and_after(flowers: RegisteredModels) -> None:
    flowers.write("flowers", RUNNING)
    with flowers.proxy(flowers.plan):
        found = json.loads(label(flowers, "old-", "--json").stdout)
    assert (found["written"], found["outcome"]) == (True, "followed")
    assert found["before"]["labels"] == {"prod": "1", "old": "0"}
    assert found["plan"] == {**found["before"], "labels": {"prod": "1"}}


def test_a_label_that_is_so_already_writes_nothing(flowers: RegisteredModels) -> None:
    flowers.write("flowers", RUNNING)
    before = flowers.stored("flowers")
    done = label(flowers, "old=0")
    assert (done.exit_code, flowers.stored("flowers")) == (0, before)
    assert "the plan of flowers is like that already: nothing was written\n" in done.stderr


def test_a_proxy_that_does_not_follow_is_named(flowers: RegisteredModels) -> None:
    with flowers.proxy(lambda _: None) as late:
        done = label(flowers, "prod=1", "--timeout", "0.3")
    assert (done.exit_code, done.stdout) == (1, "")
    line = f"  {late.id} at {late.address}: it has no plan of the model yet"
    assert done.stderr.splitlines()[-1] == line


@EMBEDDED
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("prod=3",), "tfleet label: no worker of flowers version 3 is ready: start one first. "),
        (("canary=2",), "tfleet label: the label canary is the plan's canary version by itself"),
        (("prod-",), "tfleet label: flowers has no label prod: it has none"),
        (("prod",), "Error: Invalid value for 'LABEL=VERSION|LABEL- ...': 'prod' is neither LABEL=VERSION"),
        ((), "Error: Missing argument 'LABEL=VERSION|LABEL- ...'."),
    ],
)
def test_what_can_t_be_done_is_a_line(
    flowers: RegisteredModels, arguments: tuple[str, ...], line: str
) -> None:
    for options in ((), ("--dry-run",), ("--json",)):
        done = label(flowers, *arguments, *options)
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.splitlines()[-1].startswith(line)
    assert flowers.plan("flowers") is None


@EMBEDDED
def test_an_unknown_model_is_a_line(flowers: RegisteredModels) -> None:
    done = CliRunner().invoke(cli, ["label", "flowrs", "prod=1", *flowers.options])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "tfleet label: there is no model flowrs: there is flowers\n"


def test_a_registry_that_does_not_answer_is_a_line() -> None:
    away = nobody()
    done = CliRunner().invoke(cli, ["label", "m", "prod=1", "--registry", f"consul://{away}"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"tfleet label: the registry at {away} does not answer")
