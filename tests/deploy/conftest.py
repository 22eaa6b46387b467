"""What the tests of deploy/ share: a terminal that can be read, and waiting for processes to be gone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.deploy.recorded_terminal import RecordedTerminal
from tests.support.child_programs import gone, python
from tfleet.deploy.local.terminal import Console

__all__ = ["gone", "python"]  # fixtures


@pytest.fixture
def recorded() -> RecordedTerminal:
    return RecordedTerminal()


@pytest.fixture
def console(recorded: RecordedTerminal) -> Console:
    return Console(out=recorded, err=recorded)


@pytest.fixture
def stand_in() -> tuple[str, ...]:
    """The program that stands in for `tfleet`."""
    return (sys.executable, str(Path(__file__).parent / "fake_command.py"))
