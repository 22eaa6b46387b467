"""The examples, done by a reader: train each, start it, and give every command of its README.

One process trains them all, since Keras takes seconds to import; ports are free ones.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.examples.readme import ROOT, Readme, check_shown
from tests.support.environment import users_environment
from tests.support.tfleet_up import Up, up

pytestmark = pytest.mark.fleet

PAGES = {name: Readme(name) for name in ("tabular", "mnist_cnn", "video_qa", "characters", "log_anomaly")}
HAS_LICENCES = Path("/usr/share/common-licenses/Apache-2.0").is_file() or os.environ.get("CI") == "true"
HAS_DIGITS = importlib.util.find_spec("sklearn") is not None or os.environ.get("CI") == "true"
_TRAINING_S = 400.0
_TRAIN = """
import runpy, shlex, sys
for line in sys.stdin:
    sys.argv = shlex.split(line)[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Reader:
    """Works in a folder that has the examples, as the repository has, but no models yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trained = ""
        (folder / "examples").symlink_to(ROOT / "examples")
        programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment: Mapping[str, str] = users_environment() | {
            "PATH": programs,
            "XDG_CACHE_HOME": str(folder / "cache"),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }

    def train(self, commands: list[str]) -> str:
        """What the scripts print."""
        return self._run(
            [sys.executable, "-c", _TRAIN], "".join(f"{line}\n" for line in commands), _TRAINING_S
        )

    def shell(self, line: str) -> str:
        """What a command prints."""
        return self._run(["bash", "-c", line], "")

    def python(self, program: str) -> list[str]:
        """The lines that a program prints."""
        return self._run([sys.executable, "-"], program).splitlines()

    @contextlib.contextmanager
    def served(self, page: Readme) -> Iterator[Up]:
        for line in page.look:
            self.shell(line)
        options = shlex.split(page.up)[2:]
        with up(*options, workers=1, cwd=self.folder, environment=self.environment) as fleet:
            yield fleet

    def printed(self, page: Readme, fleet: Up) -> list[str]:
        """What each command of the page prints; it is what the page shows."""
        printed = []
        for command in page.commands:
            printed.append(self.shell(fleet.own(command.line)))
            check_shown(command.shown, printed[-1])
        return printed

    def _run(self, command: list[str], given: str, timeout_s: float = 200) -> str:
        run = subprocess.run(
            command,
            input=given,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert run.returncode == 0, (run.stdout + run.stderr)[-3000:]
        return run.stdout


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    reader = Reader(tmp_path_factory.mktemp("reader"))
    lacking = {"mnist_cnn": not HAS_DIGITS, "characters": not HAS_LICENCES}
    reader.trained = reader.train([page.train for name, page in PAGES.items() if not lacking.get(name)])
    return reader


@pytest.mark.timeout(600)
def test_rows_of_a_table_are_answered(reader: Reader) -> None:
    page = PAGES["tabular"]
    with reader.served(page) as fleet:
        _, _, of_file, _, in_bulk = reader.printed(page, fleet)
        one, *rows = reader.python(fleet.own(page.program))
    live = [probability for (probability,) in json.loads(of_file)["outputs"]["p"]]
    assert len(live) == 3
    assert json.loads(in_bulk) == [pytest.approx(live, abs=1e-5)]
    (middle,), (same,), (high,), (low,) = (json.loads(line) for line in (one, *rows))
    assert middle == pytest.approx(same)
    assert low < middle < high


@pytest.mark.timeout(600)
@pytest.mark.skipif(not HAS_DIGITS, reason="scikit-learn, which has the digits, is not installed")
def test_digits_are_told(reader: Reader) -> None:
    page = PAGES["mnist_cnn"]
    with reader.served(page) as fleet:
        reader.printed(page, fleet)
        told = reader.python(fleet.own(page.program))
    right = [line for line in told if f"label='{line[0]}'" in line]
    assert len(told) == 10
    assert len(right) >= 8


@pytest.mark.timeout(600)
def test_questions_about_a_video_are_answered(reader: Reader) -> None:
    page = PAGES["video_qa"]
    with reader.served(page) as fleet:
        reader.printed(page, fleet)
        way, colour = reader.python(fleet.own(page.program))
    with np.load(reader.folder / "models" / "answer.npz") as answer:
        assert answer["answer"].shape == (1, 7)
    assert "label='left'" in way
    assert "label='blue'" in colour


@pytest.mark.timeout(600)
@pytest.mark.skipif(not HAS_LICENCES, reason="this system has no licences in /usr/share/common-licenses")
def test_text_is_written_on(reader: Reader) -> None:
    page = PAGES["characters"]
    with reader.served(page) as fleet:
        answer, likeliest, written = reader.printed(page, fleet)
    following = json.loads(answer)["outputs"]["next"]
    assert (len(following), sum(following)) == (128, pytest.approx(1, abs=1e-4))
    assert chr(int(np.argmax(following))) == "e"
    assert likeliest.startswith("the License")
    assert len(likeliest.rstrip("\n")) == len("the Licens") + 40
    assert written.startswith("the Licens")
    assert len(written.rstrip("\n")) == len("the Licens") + 200
    assert len(set(written)) > len(set(likeliest))  # chance brings characters that are less likely


@pytest.mark.skipif(not HAS_LICENCES, reason="this system has no licences in /usr/share/common-licenses")
def test_characters_are_read_better_than_by_pairs(reader: Reader) -> None:
    figures = dict(re.findall(r"(LSTM|bigrams): .* perplexity ([\d.]+)", reader.trained))
    assert float(figures["bigrams"]) == pytest.approx(12.2, abs=1)
    assert float(figures["LSTM"]) < 0.75 * float(figures["bigrams"])


@pytest.mark.timeout(600)
def test_faults_are_found_in_logs(reader: Reader) -> None:
    page = PAGES["log_anomaly"]
    with reader.served(page) as fleet:
        of_faults, _, of_own = reader.printed(page, fleet)
    alarms = [line for line in of_faults.splitlines() if not line.endswith("as usual")]
    assert len(of_faults.splitlines()) == 14
    assert len(alarms) >= 10
    assert any("worker: worker starting is not expected" in line for line in alarms)
    recorded = json.loads((reader.folder / "models" / "sessions.json").read_text())
    restart, mistake, draining, killed = (
        {recorded["keys"][key] for key in session["keys"]} for session in recorded["sessions"]
    )
    assert {"worker: worker draining", "worker: worker stopped", "worker: worker starting"} <= restart
    assert {"worker: request 400", "proxy: request 200"} <= mistake
    assert {"worker: worker draining", "worker: worker starting"} <= draining
    assert "worker: worker stopped" not in draining
    assert "worker: worker starting" in killed
    assert "worker: worker draining" not in killed
    assert [line.partition(":")[0] for line in of_own.splitlines()] == [
        "fleet 0, planned_restart",
        "fleet 0, mistake",
        "fleet 1, killed_while_draining",
        "fleet 1, two_killed",
    ]


@pytest.mark.parametrize("keys", ["without unknown keys", "with them"])
def test_logs_are_read_better_than_by_counts(reader: Reader, keys: str) -> None:
    found = re.findall(
        rf"^(\w+), g \d+, {keys}: precision (\S+), recall (\S+), F1 (\S+),", reader.trained, re.M
    )
    figures = {name: [float(figure) for figure in of_name] for name, *of_name in found}
    precision, recall, score = figures["LSTM"]
    assert precision > 0.85
    assert recall > 0.7
    always = 2 * 63 / (29 + 2 * 63)  # F1 of an alarm for each session
    assert score > max(always, figures["majority"][2], figures["bigrams"][2])
    if keys == "without unknown keys":
        assert score > max(figures["bigrams"][2], figures["trigrams"][2]) + 0.3
