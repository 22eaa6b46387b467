"""What the tests of child processes share."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable

import pytest

from tests.runtime.recorded_events import Transcript
from tfleet.runtime.child_process import ChildSpec

_PATIENCE_S = 20.0


@pytest.fixture
def transcript() -> Transcript:
    return Transcript()


@pytest.fixture
def python() -> Callable[..., ChildSpec]:
    """A program of a few lines, as a child called `child` or otherwise."""

    def spec(code: str, name: str = "child") -> ChildSpec:
        return ChildSpec(name, (sys.executable, "-c", code))

    return spec


@pytest.fixture
def gone() -> Callable[[int], bool]:
    """Waits until a process, anybody's child, has ended; False where it does not."""

    def wait(pid: int) -> bool:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            return bool(select.select([descriptor], [], [], _PATIENCE_S)[0])
        finally:
            os.close(descriptor)

    return wait
