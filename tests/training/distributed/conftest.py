"""What the tests of training on several processes share."""

from __future__ import annotations

from tests.support.child_programs import gone, python

__all__ = ["gone", "python"]  # fixtures
