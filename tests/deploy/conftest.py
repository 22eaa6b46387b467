"""What the tests of deploy/ share: a terminal that can be read, and waiting for processes to be gone."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.recorded_terminal import Tape
from tfleet.deploy.local.terminal import Console
from tfleet.runtime.child_process import ChildSpec

_PATIENCE_S = 20.0


@pytest.fixture
def tape() -> Tape:
    return Tape()


@pytest.fixture
def console(tape: Tape) -> Console:
    return Console(out=tape, err=tape)


@pytest.fixture
def python() -> Callable[..., ChildSpec]:
    """A program of a few lines, as a child called `child` or otherwise."""

    def spec(code: str, name: str = "child") -> ChildSpec:
        return ChildSpec(name, (sys.executable, "-c", code))

    return spec


@pytest.fixture
def stand_in() -> tuple[str, ...]:
    """The program that stands in for `tfleet`."""
    return (sys.executable, str(Path(__file__).parent / "fake_command.py"))


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
