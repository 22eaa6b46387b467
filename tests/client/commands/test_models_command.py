"""`tfleet models` on both registries: its table, its JSON, and the default model."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.client.conftest import Command
from tests.support.environment import users_environment
from tests.support.registered_models import RegisteredModels
from tfleet.client.commands.models import models
from tfleet.discovery.plan import Canary, Plan
from tfleet.discovery.reported_versions import VersionState, dump_report, report_key

pytestmark = pytest.mark.process

EMBEDDED = pytest.mark.parametrize("registry", ["embedded"], indirect=True)
PLAN = Plan("1", Canary("2", 12.5), "0", {"prod": "1", "new": "2", "a": "2"})


def run(registered: RegisteredModels, *options: str) -> Result:
    return CliRunner().invoke(models, [*registered.options, *options])


def words(done: Result) -> list[str]:
    assert done.exit_code == 0, done.output
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


def document(done: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_table_shows_shares_roles_and_labels(flowers: RegisteredModels) -> None:
    flowers.add("cats", "a")
    flowers.write("flowers", PLAN)
    done = run(flowers)
    assert words(done) == [
        "model version ready share role labels note",
        "cats a 1 100 %",
        "flowers 2 1 12.5 % canary a new",
        "flowers 1 2 87.5 % stable prod",
        "flowers 0 0 0 % previous",
    ]
    assert done.stderr == ""


def test_without_a_plan_the_most_workers_get_all(flowers: RegisteredModels) -> None:
    assert words(run(flowers))[1:] == ["flowers 2 1 0 %", "flowers 1 2 100 %"]
    flowers.add("flowers", "2")
    assert words(run(flowers))[1:] == ["flowers 2 2 100 %", "flowers 1 2 0 %"]


def test_the_note_says_what_came_of_mirrored_requests(flowers: RegisteredModels) -> None:
    flowers.write("flowers", Plan("1", Canary("2", 0.0, mirror=5.0)))
    nobody_asked = "mirrored 5 %: no proxy is registered that could say what came of it"
    assert words(run(flowers))[1] == f"flowers 2 1 0 % canary {nobody_asked}"
    with flowers.proxy(flowers.plan):
        assert words(run(flowers))[1] == "flowers 2 1 0 % canary mirrored 5 %: 0 compared"
        (model,) = document(run(flowers, "--json"))["models"]
    assert (model["mirrored"]["agreed"], model["mirrored"]["proxies"]) == (0, 1)
    flowers.write("flowers", Plan("1", Canary("2", 10.0)))
    (model,) = document(run(flowers, "--json"))["models"]
    assert model["mirrored"] is None


def test_the_note_says_which_version_is_loading(flowers: RegisteredModels) -> None:
    key = report_key(VersionState.LOADING, flowers.service, "flowers", "3")
    flowers.put(key, dump_report("it starts", "box:/m", time.time()))
    assert words(run(flowers))[1] == "flowers 3 0 0 % is loading (tfleet up on box:/m)"
    (model,) = document(run(flowers, "--json"))["models"]
    assert model["loading"] == ["3"]


def test_the_note_says_why_a_version_can_t_be_used(flowers: RegisteredModels) -> None:
    flowers.put(
        report_key(VersionState.REFUSED, flowers.service, "flowers", "3"),
        dump_report("it is cut off", "box:/m", 1),
    )
    done = run(flowers)
    since = "which has said nothing since 1970-01-01T00:00:01+00:00"
    assert words(done)[1:] == [
        f"flowers 3 0 0 % can't be used: it is cut off (tfleet up on box:/m, {since})",
        "flowers 2 1 0 %",
        "flowers 1 2 100 %",
    ]
    (model,) = document(run(flowers, "--json"))["models"]
    assert [(each["version"], each["stale"]) for each in model["refused"]] == [("3", True)]
    assert [row["version"] for row in model["versions"]] == ["2", "1"]


def test_the_note_says_why_the_canary_was_rolled_back(flowers: RegisteredModels) -> None:
    flowers.write("flowers", Plan("1", reason="8 of 20 requests failed"))
    assert words(run(flowers))[1] == "flowers 2 1 0 % 8 of 20 requests failed"


def test_json_is_one_document(flowers: RegisteredModels) -> None:
    flowers.write("flowers", PLAN)
    found = document(run(flowers, "--json"))
    (model,) = found.pop("models")
    assert found == {"service": flowers.service, "default": ""}
    assert (model["name"], model["default"], model["problem"]) == ("flowers", True, "")
    assert model["plan"]["percent"] == 12.5
    assert model["labels"] == {"stable": "1", "canary": "2", "prod": "1", "new": "2", "a": "2"}
    assert [tuple(row.values()) for row in model["versions"]] == [
        ("2", 1, 1, 12.5, "canary"),
        ("1", 2, 2, 87.5, "stable"),
        ("0", 0, 0, 0.0, "previous"),
    ]


def test_the_default_model_is_set_shown_and_unset(flowers: RegisteredModels) -> None:
    flowers.add("cats", "a")
    assert words(run(flowers, "--default", "flowers"))[2] == "flowers 2 1 0 % default model"
    assert document(run(flowers, "--json"))["default"] == "flowers"
    assert "default model" not in run(flowers, "--no-default").output
    assert document(run(flowers, "--json"))["default"] == ""


def test_an_ended_plan_leaves_the_most_workers(flowers: RegisteredModels) -> None:
    flowers.write("flowers", Plan("2", labels={"prod": "2"}))
    done = run(flowers, "--end-plan", "flowers")
    assert words(done)[1:] == ["flowers 2 1 0 %", "flowers 1 2 100 %"]
    line = "flowers: the plan has ended; version 1, with the most ready workers, gets all requests\n"
    assert done.stderr == line
    stored = flowers.stored("flowers")
    assert stored is not None
    assert json.loads(stored[0]) == {"deleted": True}


def test_a_plan_that_can_t_be_read_is_ended(flowers: RegisteredModels) -> None:
    flowers.write("flowers", b'{"stable": ')
    (model,) = document(run(flowers, "--end-plan", "flowers", "--json"))["models"]
    assert (model["plan"], model["problem"]) == (None, "")
    assert flowers.plan("flowers") is None


def test_a_model_without_workers_is_listed_no_more(flowers: RegisteredModels) -> None:
    flowers.write("cats", Plan("1"))
    assert words(run(flowers))[1].startswith("cats")
    done = run(flowers, "--end-plan", "cats", "--json")
    assert [model["name"] for model in document(done)["models"]] == ["flowers"]
    assert done.stderr == "cats: the plan has ended; the registry lists no worker of it\n"


@EMBEDDED
@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--end-plan", "dogs"), "tfleet models: there is no model dogs: there is flowers\n"),
        (("--end-plan", "flowers"), "tfleet models: flowers has no plan that could end\n"),
        (("--end-plan", ""), "--end-plan needs the name of a model\n"),
        (("--end-plan", "flowers", "--default", "flowers"), "with neither --default nor --no-default\n"),
        (("--end-plan", "flowers", "--no-default"), "with neither --default nor --no-default\n"),
    ],
)
def test_a_plan_that_can_t_end_is_a_line(
    flowers: RegisteredModels, options: tuple[str, ...], line: str
) -> None:
    done = run(flowers, *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.endswith(line)
    assert flowers.stored("flowers") is None


@EMBEDDED
def test_no_variable_ends_a_plan(flowers: RegisteredModels) -> None:
    flowers.write("flowers", Plan("1"))
    environment = users_environment() | {"TFLEET_END_PLAN": "flowers"}
    argv = [sys.executable, "-m", "tfleet", "models", *flowers.options]
    subprocess.run(argv, env=environment, capture_output=True, timeout=60, check=True)
    assert flowers.plan("flowers") == Plan("1")


@EMBEDDED
def test_no_variable_sets_the_default_model(flowers: RegisteredModels) -> None:
    environment = users_environment() | {"TFLEET_DEFAULT": "flowers", "TFLEET_NO_DEFAULT": "1"}
    argv = [sys.executable, "-m", "tfleet", "models", "--json", *flowers.options]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["default"] == ""
    assert "TFLEET_DEFAULT" in done.stderr, "it is told as a variable that nothing reads"


@EMBEDDED
@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--default", "dogs"), "tfleet models: there is no model dogs: there is flowers\n"),
        (("--default", "flowers", "--no-default"), "--default and --no-default exclude each other\n"),
        (("--default", ""), "--default needs the name of a model: --no-default sets none\n"),
    ],
)
def test_a_wrong_default_is_a_line(flowers: RegisteredModels, options: tuple[str, ...], line: str) -> None:
    done = run(flowers, *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.endswith(line)


@EMBEDDED
def test_a_plan_that_can_t_be_read_is_a_note(flowers: RegisteredModels) -> None:
    flowers.write("flowers", b'{"stable": 1}')
    assert words(run(flowers))[1] == "flowers 2 1 0 % its plan can't be read: stable is not a text"


@EMBEDDED
def test_a_default_model_without_workers_is_a_line(flowers: RegisteredModels) -> None:
    flowers.write("cats", b'{"stable": "1"}')
    run(flowers, "--default", "cats")
    done = run(flowers)
    assert done.stderr == "the default model cats has no worker: requests that name no model get 503\n"


@EMBEDDED
def test_what_a_table_can_t_show_is_a_line(flowers: RegisteredModels) -> None:
    run(flowers, "--default", "flowers")
    flowers.add("", "")
    done = run(flowers)
    assert done.stderr == "1 worker of the fleet registered no model\n"


def test_an_empty_fleet_is_a_line(flowers: RegisteredModels) -> None:
    empty = RegisteredModels(flowers.registry)
    done = run(empty)
    line = f"no worker of {empty.service} is registered yet: start one with `tfleet worker`\n"
    assert (done.exit_code, done.stdout) == (0, line)


@EMBEDDED
def test_a_narrow_terminal_gets_several_lines(flowers: RegisteredModels) -> None:
    flowers.write("flowers", Plan("1", Canary("2", 10.0), labels={"prod": "1"}, reason="x" * 90))
    screen = Command("models").on_a_terminal(*flowers.options, columns=60)
    assert "flowers  2  canary" in screen
    assert "1 ready  10 % share" in screen
