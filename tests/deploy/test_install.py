"""deploy/install.sh, with shell scripts that stand in for Python interpreters."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tfleet import deploy

pytestmark = pytest.mark.process


SCRIPT = Path(deploy.__file__).parent / "install.sh"

# What install.sh asks of an interpreter, answered from the script's own environment. `-m venv` makes a copy
# of the interpreter, and `pip install` notes its arguments.
_INTERPRETER = """#!/bin/sh
case "$*" in
    *"not (3, 11)"*) exit {right_version} ;;
    *"import ensurepip"*) exit {has_venv} ;;
    *"sys.version_info[:2])"*) echo 3.12 ;;
    *base_prefix*) echo {name} ;;
    "--version") echo "Python {name}" ;;
    "-m venv --clear .venv") rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    "-m pip --version") exit 0 ;;
    "-m pip show"*) [ -f installed ] ;;
    "-m pip install"*) echo "$@" > pip-arguments; touch installed; exit ${{PIP_EXIT:-0}} ;;
    *) exit 99 ;;
esac
"""


@dataclass(frozen=True)
class Machine:
    """A folder to install in, and a PATH with only these interpreters."""

    folder: Path
    bin: Path

    def interpreter(self, name: str, *, right_version: bool = True, has_venv: bool = True) -> Path:
        path = self.bin / name
        path.write_text(
            _INTERPRETER.format(name=name, right_version=int(not right_version), has_venv=int(not has_venv))
        )
        path.chmod(0o755)
        return path

    def install(self, *stamps: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(SCRIPT), ".[dev]", *(stamps or ("stamp",))],
            cwd=self.folder,
            env={"PATH": str(self.bin), **variables},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    folder, programs = tmp_path / "project", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    for program in ("bash", "sh", "rm", "mkdir", "cp", "touch", "env"):
        found = shutil.which(program)
        assert found
        (programs / program).symlink_to(found)
    return Machine(folder, programs)


def test_install_uses_the_constraints_and_writes_stamps(machine: Machine) -> None:
    machine.interpreter("python3")
    done = machine.install("stamp-1", "stamp-2")
    assert done.returncode == 0, done.stderr
    assert "tfleet: making .venv with Python python3" in done.stdout
    assert "MB to download" in done.stdout
    assert (machine.folder / "pip-arguments").read_text().endswith("-c constraints.txt -e .[dev]\n")
    assert (machine.folder / "stamp-1").exists()
    assert (machine.folder / "stamp-2").exists()


def test_an_install_that_fails_leaves_no_stamp(machine: Machine) -> None:
    machine.interpreter("python3")
    (machine.folder / "stamp").touch()
    assert machine.install(PIP_EXIT="1").returncode == 1
    assert not (machine.folder / "stamp").exists()


def test_a_second_install_keeps_the_venv_and_prints_less(machine: Machine) -> None:
    machine.interpreter("python3")
    machine.install()
    done = machine.install()
    assert done.stdout.startswith("tfleet: bringing .venv up to date with .[dev]\n")


def test_an_unsuitable_interpreter_is_skipped(machine: Machine) -> None:
    machine.interpreter("python3", right_version=False)
    machine.interpreter("python3.13", has_venv=False)
    machine.interpreter("python3.12")
    assert "making .venv with Python python3.12" in machine.install().stdout


@pytest.mark.parametrize(
    ("present", "packages"),
    [
        ({}, "python3 python3-venv"),
        ({"python3": {"right_version": False}}, "python3 python3-venv"),
        ({"python3": {"has_venv": False}}, "python3.12-venv"),
    ],
)
def test_without_a_usable_interpreter_it_says_what_to_install(
    machine: Machine, present: dict[str, dict[str, bool]], packages: str
) -> None:
    for name, faults in present.items():
        machine.interpreter(name, **faults)
    done = machine.install()
    assert done.returncode == 2
    assert done.stderr == (
        "tfleet: needs Python 3.11, 3.12 or 3.13 with venv: "
        f"sudo apt-get update && sudo apt-get install -y {packages}\n"
    )
    assert not (machine.folder / ".venv").exists()


def test_python_picks_the_interpreter_and_rebuilds_venv(machine: Machine) -> None:
    machine.interpreter("python3")
    machine.install()
    named = str(machine.interpreter("mine"))
    assert "making .venv with Python mine" in machine.install(PYTHON=named).stdout
    assert "making" not in machine.install(PYTHON=named).stdout


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda machine: machine.interpreter("mine", right_version=False), "is no Python 3.11, 3.12 or 3.13"),
        (lambda machine: machine.interpreter("mine", has_venv=False), "has no venv"),
        (lambda machine: machine.bin / "not-there", "is no Python 3.11, 3.12 or 3.13"),
    ],
)
def test_an_unsuitable_named_interpreter_is_an_error(
    machine: Machine, make: Callable[[Machine], Path], why: str
) -> None:
    machine.interpreter("python3")
    done = machine.install(PYTHON=str(make(machine)))
    assert done.returncode == 2
    assert why in done.stderr
    assert done.stderr.count("\n") == 1
