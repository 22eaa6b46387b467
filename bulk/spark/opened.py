"""What a Python worker of Spark keeps: the models that it has loaded, for all tasks that it gets.

Spark forks its Python workers from a process that has imported nothing of ours, and gives each one task at a
time. So TensorFlow is loaded after the fork, and a model once for each Python worker.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Protocol, TypeVar

MOST_KEPT: Final = 2  # a query may ask two models in turn: both of its workers then have both


class Closable(Protocol):
    """What holds memory or connections."""

    def close(self) -> None:
        """Let go of them."""


T = TypeVar("T", bound=Closable)


class Opened:
    """The models and fleets that this process has opened: the last ones used."""

    def __init__(self) -> None:
        self._opened: OrderedDict[Hashable, Closable] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Opened {len(self._opened)}>"

    def get(self, key: Hashable, open_it: Callable[[], T]) -> T:
        """What was opened for this key, or is now."""
        found = self._opened.get(key)
        if found is None:
            while len(self._opened) >= MOST_KEPT:
                self._opened.popitem(last=False)[1].close()
            found = self._opened[key] = open_it()
        self._opened.move_to_end(key)
        return found  # type: ignore[return-value] # the key says of which type it is


OPENED: Final = Opened()
"""Those of this process."""
