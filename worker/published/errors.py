"""What keeps a worker from knowing its published port."""

from __future__ import annotations


class NotPublishedError(Exception):
    """There is none, or it can't be asked for. The message is one line that says why and what to set."""
