"""Pools of decoders, ended after each test with nobody left in their lines."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.worker.decoders.pools import LIMITS, Make, Scene
from tests.worker.decoders.program import COMMAND
from tfleet.worker.decoders import PoolLimits


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Scene] = []

    def start(limits: PoolLimits = LIMITS, command: Sequence[str] = COMMAND, **options: Any) -> Scene:
        made.append(Scene(tmp_path, limits, command, **options))
        return made[-1]

    yield start
    for scene in made:
        scene.close()


@pytest.fixture
def scene(make: Make) -> Scene:
    """With one decoder, for which two may wait."""
    return make()
