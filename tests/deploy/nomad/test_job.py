"""deploy/nomad/tfleet.nomad.hcl fits the program that it starts. Nomad itself reads it where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import hcl2
import pytest

from tfleet.deploy.variables import variable
from tfleet.proxy.cli import proxy
from tfleet.worker.cli import worker

ROOT = Path(__file__).parents[3]
FILE = ROOT / "deploy" / "nomad" / "tfleet.nomad.hcl"
TEXT = FILE.read_text()
COMMANDS = {"proxy": proxy, "worker": worker}


def _plain(found: object) -> Any:
    """Without the quotation marks of HCL's strings and the reader's notes; one block for a list of one."""
    if isinstance(found, dict):
        return {_plain(key): _plain(value) for key, value in found.items() if not key.startswith("__")}
    if isinstance(found, list):
        blocks = [_plain(each) for each in found]
        return blocks[0] if len(blocks) == 1 and isinstance(blocks[0], dict) else blocks
    return found.removeprefix('"').removesuffix('"') if isinstance(found, str) else found


READ = _plain(hcl2.loads(TEXT))
JOB = READ["job"]["tfleet"]
VARIABLES = {name: each for block in READ["variable"] for name, each in block.items()}
GROUPS = {name: group for each in JOB["group"] for name, group in each.items()}
TASKS = {name: group["task"][name] for name, group in GROUPS.items()}


def _options(command: click.Command) -> dict[str, object]:
    return {variable(each): each.default for each in command.params if isinstance(each, click.Option)}


def _seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_a_job_needs_no_variables() -> None:
    assert [name for name, each in VARIABLES.items() if "default" not in each] == []
    assert set(re.findall(r"\bvar\.(\w+)", TEXT)) == VARIABLES.keys()


def test_every_variable_that_is_passed_on_is_an_option_s() -> None:
    known = _options(proxy).keys() & _options(worker).keys()
    assert set(re.findall(r"^ +(TFLEET_\w+) +=", TEXT, re.MULTILINE)) <= known
    assert set(re.findall(r"\bTFLEET_\w+", TEXT)) <= _options(proxy).keys() | _options(worker).keys()


@pytest.mark.parametrize("name", ["proxy", "worker"])
def test_nomad_waits_for_a_drain_before_killing(name: str) -> None:
    """It waits for 30 seconds at most, where its client is not told otherwise (max_kill_timeout)."""
    options = _options(COMMANDS[name])
    set_here = re.search(r'TFLEET_DRAIN_TIMEOUT = "(\d+)"', TASKS[name]["env"])
    drain_s = float(set_here[1] if set_here else str(options["TFLEET_DRAIN_TIMEOUT"]))
    kill_s = _seconds(TASKS[name]["kill_timeout"])
    assert drain_s + float(str(options["TFLEET_DRAIN_GRACE"])) + 3 < kill_s <= 30


@pytest.mark.parametrize("name", ["proxy", "worker"])
def test_the_port_is_the_one_that_the_image_listens_on(name: str) -> None:
    listens = re.search(r"TFLEET_PORT=(\d+)", (ROOT / "deploy" / "docker" / f"{name}.Dockerfile").read_text())
    assert listens
    assert GROUPS[name]["network"]["port"]["http"]["to"] == int(listens[1])
    assert TASKS[name]["config"]["ports"] == ["http"]


@pytest.mark.parametrize("name", ["proxy", "worker"])
def test_readyz_gates_deployments_and_healthz_restarts(name: str) -> None:
    checks = {each["path"]: each for each in GROUPS[name]["service"]["check"]}
    assert checks.keys() == {"/readyz", "/healthz"}
    assert [path for path, each in checks.items() if "check_restart" in each] == ["/healthz"]
    assert JOB["update"]["health_check"] == "checks"


def test_nomad_registers_nothing_under_the_fleet_s_own_names() -> None:
    names = {group["service"]["name"] for group in GROUPS.values()}
    assert names == {"nomad-tfleet-proxy", "nomad-tfleet-worker"}


def test_updates_are_canaried_and_bad_ones_reverted() -> None:
    update = JOB["update"] | GROUPS["worker"]["update"]
    assert (update["auto_revert"], update["max_parallel"]) == (True, 1)
    assert (update["canary"], update["auto_promote"]) == ("${var.canaries}", "${var.auto_promote}")
    assert (VARIABLES["canaries"]["default"], VARIABLES["auto_promote"]["default"]) == (1, True)
    assert "update" not in GROUPS["proxy"], "its port is taken on its machine: none can come beside it"


def test_a_new_model_leaves_the_proxies_as_they_are() -> None:
    """Nomad replaces them in place where a variable of theirs changes: their port is closed meanwhile."""
    assert "var.model ==" in TASKS["worker"]["env"]
    assert re.search(r"\bvar\.model\b", f"{GROUPS['proxy']} {READ['locals']}") is None


@pytest.mark.parametrize("name", ["proxy", "worker"])
def test_containers_are_as_restricted_as_in_compose(name: str) -> None:
    config = TASKS[name]["config"]
    assert (config["readonly_rootfs"], config["cap_drop"], config["init"]) == (True, ["all"], True)
    assert config["mount"] == {"type": "tmpfs", "target": "/tmp"}


@pytest.mark.skipif(shutil.which("nomad") is None, reason="no nomad on the PATH")
@pytest.mark.parametrize("command", [["fmt", "-check"], ["job", "run", "-output"]])
def test_nomad_parses_the_job(command: list[str]) -> None:
    run = subprocess.run(["nomad", *command, str(FILE)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
