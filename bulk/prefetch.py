"""Read ahead in a thread: the next item is made while this one is worked on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_LOOK_S = 0.1


class Prefetch(Generic[T]):
    """Iterates over `items` in a thread, one ahead. An error of theirs is raised after the items before it.

    A caller that stops early has to close it.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._items = items
        self._ready: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(maxsize=1)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, name="prefetch", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Prefetch {'closed' if self._closed.is_set() else 'open'}>"

    def __iter__(self) -> Iterator[T]:
        while True:
            found = self._ready.get()
            if isinstance(found, BaseException):
                raise found
            if found is None:
                return
            yield found[0]

    def close(self) -> None:
        """Stop reading, and end the thread."""
        self._closed.set()
        self._thread.join()

    def _read(self) -> None:
        try:
            for item in self._items:
                self._put((item,))
                if self._closed.is_set():
                    return
            self._put(None)
        except BaseException as error:  # of any kind: the thread that waits has to hear of it
            self._put(error)

    def _put(self, found: tuple[T] | BaseException | None) -> None:
        while not self._closed.is_set():
            try:
                self._ready.put(found, timeout=_LOOK_S)
            except queue.Full:
                continue
            return
