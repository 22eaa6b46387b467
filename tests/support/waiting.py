"""Waiting for something to become so, with a deadline instead of a sleep that is meant to be long enough."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_TIMEOUT_S = 20.0
# Who waits for long looks more rarely: to look costs what is waited for some of the processor.
_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 0.1
_PAUSE_SHARE = 0.05


async def eventually(
    look: Callable[[], Awaitable[T]], *, wanted: Callable[[T], object] = bool, timeout_s: float = _TIMEOUT_S
) -> T:
    """What `look` finds as soon as it is `wanted`. Fails with the last finding after `timeout_s`."""
    began_s = time.monotonic()
    while not wanted(found := await look()):
        waited_s = time.monotonic() - began_s
        assert waited_s < timeout_s, f"after {timeout_s:g} s still {repr(found)[-1000:]}"
        await asyncio.sleep(_pause_s(waited_s))
    return found


def eventually_sync(
    look: Callable[[], T], *, wanted: Callable[[T], object] = bool, timeout_s: float = _TIMEOUT_S
) -> T:
    """The same without an event loop."""
    began_s = time.monotonic()
    while not wanted(found := look()):
        waited_s = time.monotonic() - began_s
        assert waited_s < timeout_s, f"after {timeout_s:g} s still {repr(found)[-1000:]}"
        time.sleep(_pause_s(waited_s))
    return found


def _pause_s(waited_s: float) -> float:
    return min(max(_PAUSE_S, waited_s * _PAUSE_SHARE), _LONGEST_PAUSE_S)
