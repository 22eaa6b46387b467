"""deploy/systemd/: the units fit the program that they start. systemd reads them where there is one."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tfleet.deploy.variables import KNOWN, variable
from tfleet.proxy.cli import proxy
from tfleet.worker.cli import worker

FOLDER = Path(__file__).parents[3] / "deploy" / "systemd"
COMMANDS = {"proxy": proxy, "worker": worker}
CONSUL_AWAY_S = 12
"""How long a process that stops may wait for a Consul that does not answer."""
OTHER_FILES = 256

each_unit = pytest.mark.parametrize("name", COMMANDS)


def _path(name: str) -> Path:
    return FOLDER / f"tfleet-{name}.service"


def _service(name: str) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # keeps the case, as its documentation says
    parser.read_string(_path(name).read_text())
    return parser["Service"]


def _default(name: str, option: str) -> float:
    options = (each for each in COMMANDS[name].params if isinstance(each, click.Option))
    (found,) = (each for each in options if variable(each) == option)
    return float(str(found.default))


@each_unit
def test_a_unit_starts_its_command_with_known_variables(name: str) -> None:
    program, command = _service(name)["ExecStart"].split()
    assert (Path(program).name, command) == ("tfleet", name)
    named = set(re.findall(r"\bTFLEET_\w+", _path(name).read_text()))
    assert named
    assert named <= set(KNOWN)


@each_unit
def test_systemd_waits_for_a_drain_before_killing(name: str) -> None:
    drain_s = _default(name, "TFLEET_DRAIN_GRACE") + _default(name, "TFLEET_DRAIN_TIMEOUT")
    assert int(_service(name)["TimeoutStopSec"]) > drain_s + CONSUL_AWAY_S


@each_unit
def test_child_processes_are_left_to_the_main_process(name: str) -> None:
    assert _service(name)["KillMode"] == "mixed"


def test_open_files_suffice_for_all_connections() -> None:
    most = 2 * int(_default("proxy", "TFLEET_MAX_CONNECTIONS")) + OTHER_FILES
    assert {int(_service(name)["LimitNOFILE"]) for name in COMMANDS} == {most}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@each_unit
def test_systemd_accepts_the_unit(name: str, tmp_path: Path) -> None:
    unit = tmp_path / _path(name).name
    # It wants a program that exists.
    unit.write_text(_path(name).read_text().replace("/opt/tfleet/.venv/bin/tfleet", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
