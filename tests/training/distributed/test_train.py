"""`tfleet train` with Keras on JAX: the same model from one process and from two, and the ends of runs.

pip installs JAX into a folder of a cache (jax.txt). Where it cannot these tests are skipped; with
CLIENT_PACKAGES_REQUIRED=true, as in CI, they fail.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import requests

from tests.models.asked import loaded
from tests.support.client_environments import required_folder
from tests.support.consul_agent import consul_agent
from tests.support.embedded_registry import embedded_registry
from tests.support.environment import users_environment
from tests.support.free_ports import free_port
from tests.support.waiting import eventually_sync
from tests.support.worker_http import serving

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

# 203 rows of which 162 train, in batches of 32: the last one has 2.
SCRIPT = """
import sys
import keras
import numpy as np
from epochs import EPOCHS  # a file beside the script
from keras.src.backend.jax import distribution_lib

shares = set()
distribute = distribution_lib.distribute_data_input


def seen(*args, **options):
    array = distribute(*args, **options)
    if array is not None:
        shares.add(f"{len(array.addressable_shards[0].data)}/{len(array)}")
    return array


distribution_lib.distribute_data_input = seen
rows = np.random.default_rng(3).random((203, 10), np.float32)
model = keras.Sequential([
    keras.Input((10,), name="G"),
    keras.layers.Dense(16, activation="relu"),
    keras.layers.Dense(1, activation="sigmoid", name="p"),
])
model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy")
model.fit(rows, rows.sum(1) > 5, batch_size=32, epochs=int(sys.argv[1]) * EPOCHS, validation_split=0.2,
          verbose=2, callbacks=[
              keras.callbacks.CSVLogger("log.csv"), keras.callbacks.ModelCheckpoint("best.keras")])
print("shares:", *sorted(shares))
answers = model.predict(rows[:5], verbose=0)
model.save("trained.keras")
np.save("answers.npy", answers)
sys.exit(0)
"""
SAVES = """
import keras

class Twice(keras.layers.Layer):
    def call(self, x):
        return 2 * x

layers = [keras.Input((2,)), Twice() if TWICE else keras.layers.Dense(1)]
keras.Sequential(layers).save("trained.keras")
"""
UNSEEDED = SCRIPT.replace("default_rng(3)", "default_rng()")
FOREVER = "1000000"


@dataclass(frozen=True, slots=True)
class Machine:
    """A command that was started, and where: `out` has all that it wrote."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def out(self) -> str:
        return (self.folder / "out.log").read_text()

    def end(self) -> int:
        return self.process.wait(120)

    def wait_for(self, text: str) -> None:
        def look() -> bool:
            assert self.process.poll() is None, self.out
            return text in self.out

        eventually_sync(look, timeout_s=120)

    def ranks(self) -> dict[int, int]:
        """The process ids of its processes by their ranks."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        found = {}
        for child in children.split():
            argv = Path("/proc", child, "cmdline").read_bytes().split(b"\0")
            found[int(json.loads(argv[-2])["rank"])] = int(child)
        return found


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    jax = required_folder(Path(__file__).with_name("jax.txt"))
    paths = [str(jax), *(path for path in sys.path if path)]
    return users_environment() | {"PYTHONPATH": ":".join(paths)}


@contextmanager
def train(
    environment: dict[str, str], folder: Path, *options: str, script: str = SCRIPT, epochs: str = "5"
) -> Iterator[Machine]:
    folder.mkdir()
    (folder / "flowers.py").write_text(script)
    (folder / "epochs.py").write_text("EPOCHS = 1")
    command = (sys.executable, "-m", "tfleet", "train", "flowers.py", *options, "--", epochs)
    with (folder / "out.log").open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
    try:
        yield Machine(folder, process)
    finally:
        process.kill()
        process.wait()


def trained(machine: Machine) -> Path:
    assert machine.end() == 0, machine.out
    return machine.folder


def weights(folder: Path) -> list[np.ndarray[Any, Any]]:
    """What was saved: kernel and bias of both layers."""
    with zipfile.ZipFile(folder / "trained.keras") as archive:
        content = BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as file:
        layers = [file["layers"][name]["vars"] for name in sorted(file["layers"])]
        found = [layer[name][()] for layer in layers for name in sorted(layer)]
    assert sorted(value.shape for value in found) == [(1,), (10, 16), (16,), (16, 1)]
    return found


@pytest.fixture(scope="module")
def one(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    with train(environment, tmp_path_factory.mktemp("one") / "run", "--no-export") as machine:
        return trained(machine)


def test_two_processes_train_what_one_does(environment: dict[str, str], one: Path, tmp_path: Path) -> None:
    """And a worker serves it."""
    with train(environment, tmp_path / "two", "--processes", "2", "--name", "g") as machine:
        two = trained(machine)
    for ours, theirs in zip(weights(two), weights(one), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    # The first process has had a half of each batch, but for that of 9 rows behind the 32 that validate.
    assert "shares: 1/2 16/32 9/9" in machine.out
    assert "models/g/1: exported from trained.keras" in machine.out
    assert sorted(path.name for path in two.iterdir() if path.name != "__pycache__") == [
        "answers.npy",
        "best.keras",
        "epochs.py",
        "flowers.py",
        "log.csv",
        "models",
        "out.log",
        "trained.keras",
    ]
    assert [path.name for path in (two / "models" / "g").iterdir()] == ["1"]
    assert len((two / "log.csv").read_text().splitlines()) == 1 + 5  # from one process
    rows = np.random.default_rng(3).random((203, 10), np.float32)[:5]
    with loaded(two / "models" / "g" / "1") as model, serving(model, name="g") as (address, _):
        answer = requests.post(f"{address.url}/predict", json=rows.tolist(), timeout=60).json()
    np.testing.assert_allclose(
        np.ravel(answer["outputs"]["p"]), np.load(two / "answers.npy").ravel(), atol=1e-6
    )


def test_machines_of_a_list_train_the_same(environment: dict[str, str], one: Path, tmp_path: Path) -> None:
    """Two addresses of this machine stand in for two machines. The second one saves nothing."""
    options = ("--hosts", "127.0.0.1,127.0.0.2", "--port", str(free_port()), "--no-export")
    with (
        train(environment, tmp_path / "0", *options, "--rank", "0") as first,
        train(environment, tmp_path / "1", *options, "--rank", "1") as second,
    ):
        for ours, theirs in zip(weights(trained(first)), weights(one), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
        written = {path.name for path in trained(second).iterdir()}
        assert {"best.keras", "log.csv", "trained.keras"}.isdisjoint(written)
        assert "answers.npy" in written  # NumPy is not Keras


def test_a_killed_process_ends_all(environment: dict[str, str], tmp_path: Path) -> None:
    with train(environment, tmp_path / "run", "--processes", "2", epochs=FOREVER) as machine:
        machine.wait_for("Epoch 3/")
        ranks = machine.ranks()
        os.kill(ranks[1], signal.SIGKILL)
        assert machine.process.wait(10) == 1
        assert "process 1 of 2 (from 0) ended with SIGKILL; nothing was exported" in machine.out
        assert not Path("/proc", str(ranks[0])).exists()
        assert not [
            path.name for path in machine.folder.iterdir() if path.name in {"models", "trained.keras"}
        ]
        assert not list(machine.folder.glob(".*"))


def test_a_killed_machine_ends_the_other(environment: dict[str, str], tmp_path: Path) -> None:
    """They have met by Consul."""
    with consul_agent() as consul:
        registry = f"consul://{consul.address}"
        options = ("--machines", "2", "--registry", registry, "--address", "127.0.0.1", "--run", "monday")
        with (
            train(environment, tmp_path / "a", *options, epochs=FOREVER) as first,
            train(environment, tmp_path / "b", *options, epochs=FOREVER) as second,
        ):
            for machine in (first, second):
                machine.wait_for("Epoch 3/")
            (rank,) = second.ranks()
            second.process.kill()
            assert first.process.wait(30) == 1
            assert f"process {1 - rank} of 2 (from 0) has lost another one" in first.out
            assert not (first.folder / "models").exists()
        keys = requests.get(f"http://{consul.address}/v1/kv/tfleet/?keys", timeout=10).json()
        assert keys == [f"tfleet/tfleet/training/monday/{rank}"]


def test_processes_that_read_other_rows_are_told(environment: dict[str, str], tmp_path: Path) -> None:
    with train(environment, tmp_path / "run", "--processes", "2", script=UNSEEDED) as machine:
        assert machine.end() == 1
        assert "process 1 has another batch 1 than process 0" in machine.out
        assert "give a seed to what draws numbers" in machine.out
        assert not (machine.folder / "trained.keras").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_machine_that_waits_can_be_stopped(
    environment: dict[str, str], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with embedded_registry() as registry:
        url = f"http://{registry}/v1/kv/tfleet/tfleet/training/?keys"

        def keys() -> list[str]:
            answer = requests.get(url, timeout=10)
            return list(answer.json()) if answer.ok else []

        options = ("--machines", "2", "--registry", f"consul://{registry}")
        with train(environment, tmp_path / "run", *options) as machine:
            assert eventually_sync(keys) == ["tfleet/tfleet/training/flowers/0"]
            machine.process.send_signal(number)
            assert machine.end() == code
        assert keys() == []


def test_a_stop_during_the_export_leaves_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    with train(environment, tmp_path / "run", script=f"TWICE = False\n{SAVES}") as machine:
        machine.wait_for("importing Keras")
        machine.process.terminate()
        assert machine.end() == 143
    assert list((machine.folder / "models" / "flowers").iterdir()) == []
    assert (machine.folder / "trained.keras").exists()


def test_a_model_that_cannot_be_exported_is_kept(environment: dict[str, str], tmp_path: Path) -> None:
    with train(environment, tmp_path / "run", script=f"TWICE = True\n{SAVES}") as machine:
        assert machine.end() == 1
    assert "tfleet train: the model is trained, and cannot be exported: trained.keras: " in machine.out
    assert "Twice" in machine.out
    assert (machine.folder / "trained.keras").exists()


def test_a_folder_for_models_that_is_none_is_told_first(environment: dict[str, str], tmp_path: Path) -> None:
    with train(environment, tmp_path / "run", "--models", "epochs.py/models") as machine:
        assert machine.end() == 2
    assert "tfleet train: epochs.py: is no folder that can be written to" in machine.out
    assert not (machine.folder / "trained.keras").exists()
