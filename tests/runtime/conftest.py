"""What the tests of child processes share."""

from __future__ import annotations

import pytest

from tests.runtime.recorded_events import RecordedEvents
from tests.support.child_programs import gone, python

__all__ = ["gone", "python"]  # fixtures


@pytest.fixture
def transcript() -> RecordedEvents:
    return RecordedEvents()
