"""From a folder of photographs to the answer of curl, by one command."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.support.canned_server import nobody
from tests.support.environment import users_environment
from tests.support.photos import PHOTOS
from tests.support.tfleet_up import Up, curl
from tests.support.waiting import eventually_sync
from tests.training.drawn_photos import draw_photos, drawn
from tests.training.photo_crops import crops
from tfleet.contract.address import Address

pytestmark = pytest.mark.fleet


@contextmanager
def _retrained_and_served(*arguments: object, cwd: Path) -> Iterator[Up]:
    """`tfleet retrain ... --serve`, when it answers. Variables set its ports, as a user would."""
    proxy, registry = nobody().port, nobody().port
    environment = users_environment() | {
        "TFLEET_PORT": str(proxy),
        "TFLEET_REGISTRY_PORT": str(registry),
        "XDG_CACHE_HOME": str(cwd / "cache"),
    }
    command = [sys.executable, "-m", "tfleet", "retrain", *map(str, arguments), "--serve"]
    with tempfile.NamedTemporaryFile(prefix="tfleet-retrain-") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=cwd, env=environment)
        running = Up(process, Path(output.name), Address("127.0.0.1", proxy))
        try:
            eventually_sync(running.ready, wanted=lambda ready: ready == 1, timeout_s=110)
            yield running
        finally:
            if process.poll() is None:
                running.stop()


def test_one_command_leads_from_photographs_to_an_answer(tmp_path: Path) -> None:
    """Real photographs: crops of two, of which the model has not seen the ones that are asked."""
    root = tmp_path / "photos"
    held_out = {}
    for label, name in (("猫", "cat"), ("coffee", "coffee")):
        (root / label).mkdir(parents=True)
        *seen, held_out[label] = crops(PHOTOS[name], 13)
        for number, content in enumerate(seen):
            (root / label / f"{number}.jpg").write_bytes(content)
    draw_photos(root, {"drawings": ("stripes", 12)})
    held_out["drawings"] = drawn("stripes", 99)
    with _retrained_and_served("photos", "--name", "three", cwd=tmp_path) as fleet:
        for label, content in held_out.items():
            (tmp_path / "photo.jpg").write_bytes(content)
            for path in ("", "/models/three"):
                line = f"curl -s -F data=@{tmp_path}/photo.jpg {fleet.url}{path}"
                assert json.loads(curl(line))[0][0] == label
        answer = requests.get(f"{fleet.url}/models/three", timeout=10).json()
        assert answer["name"] == "three"
        assert "models/three/1: 3 classes" in fleet.said
        _retrained_by_the_fleet(fleet, tmp_path)
        assert fleet.stop() == 0


def _retrained_by_the_fleet(fleet: Up, folder: Path) -> None:
    """The fleet's model is the backbone of another one, whose vectors the fleet makes."""
    options = ("--name", "four", "--backbone", "models/three/1", "--cache", "cache-of-fleet", "--json")
    done = subprocess.run(
        [sys.executable, "-m", "tfleet", "retrain", "photos", "--fleet", fleet.url, *options],
        cwd=folder,
        env=users_environment(),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["new_vectors"] == said["photos"]["total"] == 36
    assert set(said["classes"]) == {"猫", "coffee", "drawings"}
    report = json.loads((folder / "models/four/1/report.json").read_text())
    assert report["run"]["settings"]["backbone"] == "three/1"
