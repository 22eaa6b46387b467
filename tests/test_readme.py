"""The README's first screen, done by a stranger: a clean clone, a clean environment, only what it says."""

import contextlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.waiting import eventually_sync

ROOT = Path(__file__).parents[1]
PROXY = "http://localhost:12480"
PHOTO = ROOT / "tests" / "data" / "coffee.jpg"
_INSTALL_S = 600.0

pytestmark = [pytest.mark.clone, pytest.mark.timeout(900)]


def _blocks(language: str) -> list[list[str]]:
    """The commands of the README's code blocks, comments and folders left to the reader."""
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return [[line.partition("#")[0].strip() for line in block.splitlines()] for block in blocks]


def _environment() -> dict[str, str]:
    """That of a new terminal: nothing of the test run, of a virtual environment or of `make` in it."""
    ours = ("CI", "CONSUL_", "COVERAGE", "MAKE", "MFLAGS", "PYTEST", "PYTHON", "TFLEET_", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clone") / "tfleet"
    subprocess.run(["git", "clone", "--quiet", f"file://{ROOT}", str(folder)], check=True)
    return folder


@contextlib.contextmanager
def _running(command: str, clone: Path) -> Iterator[Path]:
    """A command of the README in a terminal of its own; where its output goes."""
    with tempfile.NamedTemporaryFile(prefix="tfleet-readme-") as output:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=clone, env=_environment(), stdout=output, stderr=output
        )
        try:

            def ready() -> bool:
                assert process.poll() is None, Path(output.name).read_text()[-3000:]
                try:
                    return requests.get(f"{PROXY}/readyz", timeout=10).ok
                except requests.ConnectionError:
                    return False

            eventually_sync(ready, timeout_s=_INSTALL_S)
            yield Path(output.name)
        finally:
            process.terminate()
            process.wait(60)


def _shell(command: str, folder: Path, timeout_s: float = 60) -> str:
    run = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert run.returncode == 0, (run.stdout + run.stderr)[-3000:]
    return run.stdout


def test_the_readmes_first_commands_work(clone: Path) -> None:
    (run,), _, (enter, curl, predict), photograph, (curl_p2p,), *_, tensorflow_serving = _blocks("bash")
    assert (run, enter) == ("make run", "cd tests/data")
    shown, shown_by_predict = (json.loads("".join(block)) for block in _blocks("json"))
    with _running(run, clone) as output:
        assert "tfleet: installing" in output.read_text(), "it says what it is doing"
        # The sixth digit depends on how many processors a worker gets.
        found = json.loads(_shell(f"{enter} && {curl}", clone))
        assert [label for label, _ in found] == [label for label, _ in shown]
        assert [p for _, p in found] == pytest.approx([p for _, p in shown], abs=1e-4)
        predicted = json.loads(_shell(f"{enter} && {predict}", clone))
        assert predicted.keys() == shown_by_predict.keys()
        assert [one["label"] for one in predicted["predictions"]] == [label for label, _ in found]
        assert [tuple(one.values()) for one in shown_by_predict["predictions"]] == [
            tuple(one) for one in shown
        ]
        own = " && ".join([enter, *photograph]).replace("/path/to/photo.jpg", str(PHOTO))
        said = _shell(own.replace("~/Pictures", "tests/data"), clone)
        assert json.loads(said.partition("\n")[0])[0][0] == "espresso"
        assert "tests/data/hopper.jpg\tacademic gown\t" in said
        assert _shell("\n".join(tensorflow_serving), clone).startswith('{"predictions"')
    with _running("make run ARGS='--mode p2p'", clone):
        assert json.loads(_shell(curl_p2p, clone))[0][0] == "tiger cat"


def test_up_starts_without_make_and_with_another_model(clone: Path) -> None:
    """In the environment that `make` has made, so that TensorFlow is not installed twice."""
    _, (install, up), (enter, curl, _), _, _, (own_model,), *_ = _blocks("bash")
    _shell(install, clone, timeout_s=_INSTALL_S)
    for command in (up, own_model):
        with _running(command, clone):
            assert json.loads(_shell(f"{enter} && {curl}", clone))[0][0] == "tiger cat"


def test_the_readmes_test_command_works(clone: Path) -> None:
    """On one file: the whole suite is what this test is part of."""
    said = _shell("make test PYTEST_ARGS=tests/contract/test_address.py", clone, timeout_s=_INSTALL_S)
    assert re.search(r"\d+ passed", said)
    assert re.search(r"Contracts: \d+ kept, 0 broken", said)
