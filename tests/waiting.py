"""Waiting for something to become so, with a deadline instead of a sleep that is meant to be long enough."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_TIMEOUT_S = 20.0
_PAUSE_S = 0.01


async def eventually(
    look: Callable[[], Awaitable[T]], *, wanted: Callable[[T], object] = bool, timeout_s: float = _TIMEOUT_S
) -> T:
    """What `look` finds as soon as it is `wanted`. Fails with the last finding after `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while not wanted(found := await look()):
        assert time.monotonic() < deadline_s, f"after {timeout_s:g} s still {repr(found)[-1000:]}"
        await asyncio.sleep(_PAUSE_S)
    return found


def eventually_sync(
    look: Callable[[], T], *, wanted: Callable[[T], object] = bool, timeout_s: float = _TIMEOUT_S
) -> T:
    """The same without an event loop."""
    deadline_s = time.monotonic() + timeout_s
    while not wanted(found := look()):
        assert time.monotonic() < deadline_s, f"after {timeout_s:g} s still {repr(found)[-1000:]}"
        time.sleep(_PAUSE_S)
    return found
