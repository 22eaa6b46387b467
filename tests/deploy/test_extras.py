"""tfleet where extras are missing: their modules are hidden from the child processes that ask for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environment import users_environment
from tfleet.deploy.local.plan import PROGRAM

pytestmark = pytest.mark.process


HIDE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
"""
OF_WORKER = ("tensorflow", "flask", "multipart", "numpy", "PIL", "prometheus_client")
ALL = (*OF_WORKER, "uvloop", "rich", "docker")


def run(tmp_path: Path, hidden: tuple[str, ...], *argv: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "sitecustomize.py").write_text(HIDE.format(names=hidden))
    paths = [str(tmp_path), *(path for path in sys.path if path)]
    environ = users_environment() | {"PYTHONPATH": ":".join(paths)}
    return subprocess.run(argv, capture_output=True, text=True, env=environ, timeout=60, check=False)


@pytest.mark.parametrize(
    ("command", "extras"),
    [
        (("up",), 'extras "worker" and "proxy": pip install \'tfleet[worker,proxy]\''),
        (("up", "--help"), 'extras "worker" and "proxy": pip install \'tfleet[worker,proxy]\''),
        (("worker",), "extra \"worker\": pip install 'tfleet[worker]'"),
        (("proxy",), "extra \"proxy\": pip install 'tfleet[proxy]'"),
        (("status",), "extra \"client\": pip install 'tfleet[client]'"),
        (("classify", "cat.jpg"), "extra \"client\": pip install 'tfleet[client]'"),
        (
            ("score", "rows.csv", "-o", "out", "--model", "m"),
            'extras "score" and "worker": pip install \'tfleet[score,worker]\'',
        ),
        (
            ("retrain", "photos", "--name", "m"),
            'extras "client" and "worker": pip install \'tfleet[client,worker]\'',
        ),
        (
            ("train", __file__),
            'extras "train" and "worker": pip install \'tfleet[train,worker]\'',
        ),
        (("prune",), "extra \"client\": pip install 'tfleet[client]'"),
        (("models",), "extra \"client\": pip install 'tfleet[client]'"),
        (("rollout", "m", "1"), "extra \"client\": pip install 'tfleet[client]'"),
        (("scale", "2"), "extra \"docker\": pip install 'tfleet[docker]'"),
        (("autoscale", "--min", "1", "--max", "2"), "extra \"docker\": pip install 'tfleet[docker]'"),
    ],
)
def test_a_command_without_its_extra_is_a_line(tmp_path: Path, command: tuple[str, ...], extras: str) -> None:
    done = run(tmp_path, ALL, *PROGRAM, *command)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: the Python module ")
    assert done.stderr.endswith(f": tfleet {command[0]} needs the {extras}\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("module", ["tensorflow", "flask", "uvloop"])
def test_up_says_what_is_missing_before_it_starts_anything(tmp_path: Path, module: str) -> None:
    done = run(tmp_path, (module,), *PROGRAM, "up", "--port", "0", "--registry-port", "0")
    assert done.stderr.startswith(
        f"Error: the Python module {module} is missing: tfleet up needs the extras "
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("command", ["scale", "autoscale", "registry", "drain"])
def test_help_needs_no_extra(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, ALL, *PROGRAM, command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: tfleet {command} ")


def test_the_python_client_needs_no_extra(tmp_path: Path) -> None:
    code = """
from tfleet.client import FleetClient, FleetError
with FleetClient("127.0.0.1:1") as fleet:
    try:
        fleet.classify(b"BM")
    except FleetError as error:
        print(error)
"""
    done = run(tmp_path, ALL, sys.executable, "-c", code)
    assert (done.stdout, done.stderr) == ("cannot reach http://127.0.0.1:1: connection refused\n", "")
