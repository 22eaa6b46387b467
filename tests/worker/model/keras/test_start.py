"""Workers that start from Keras files, as processes."""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import requests

from tests.support.pictures import picture
from tests.support.waiting import eventually_sync
from tests.support.worker_process import COMMAND, worker_process

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

ALONE = ("--registry", "static:", "--drain-grace", "0")
LABELS = ("ant", "bee", "cow", "dog", "eel")


@pytest.fixture
def options(keras_models: Path, tmp_path: Path) -> tuple[str, ...]:
    """Of a worker that classifies by a Keras file."""
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    return ("--model", str(keras_models / "picture.keras"), "--labels", str(tmp_path / "labels.txt"), *ALONE)


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}


def converting(cache: Path) -> list[int]:
    """The processes that convert into this cache."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes()
        except OSError:  # it has just ended
            continue
        if b"convert_main" in arguments and str(cache).encode() in arguments:
            found.append(int(path.parent.name))
    return found


def test_it_serves_and_starts_from_the_cache_again(
    options: tuple[str, ...], environment: Mapping[str, str]
) -> None:
    answers = []
    for event in ("keras model converted", "keras model taken from the cache"):
        with worker_process(*options, environment=environment) as worker:
            eventually_sync(lambda: worker.events("worker ready"), timeout_s=300)
            assert worker.events(event), "how it came to the SavedModel"
            answer = requests.post(worker.address().url, files={"data": picture("red")}, timeout=30)
            answers.append(answer.json())
    assert answers[0] == answers[1]
    assert {label for label, _ in answers[0]} == set(LABELS)
    assert sum(probability for _, probability in answers[0]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_conversion_ends_with_the_worker(
    options: tuple[str, ...], environment: Mapping[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    with worker_process(*options, environment=environment) as worker:
        assert eventually_sync(lambda: converting(tmp_path / "cache"), timeout_s=60)
        worker.process.send_signal(number)
        code = worker.process.wait(30)
    eventually_sync(lambda: not converting(tmp_path / "cache"), timeout_s=30)
    assert code == (0 if number is signal.SIGTERM else -signal.SIGKILL)
    if number is signal.SIGTERM:
        assert [path.name for path in tmp_path.glob("cache/tfleet/keras/*") if path.is_dir()] == []


def test_a_lambda_ends_it_with_one_line(keras_models: Path, environment: Mapping[str, str]) -> None:
    model = ("--model", str(keras_models / "lambda.keras"))
    command = [*COMMAND, *model, *ALONE]
    ended = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "the Lambda layer 'double' is Python code inside the file" in ended.stderr.splitlines()[-1]
    assert not converting(Path(environment["XDG_CACHE_HOME"]))
