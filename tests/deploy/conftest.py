"""What the tests of deploy/ share: a terminal that can be read, and waiting for processes to be gone."""

from __future__ import annotations

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
