from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from tfleet.deploy.signals import on_stop_signal


@pytest.fixture
def terminal() -> Iterator[None]:
    """As if the tests were not run under nohup themselves."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_stop_signal_calls_and_is_recorded(number: signal.Signals, terminal: None) -> None:
    called = asyncio.Event()
    with on_stop_signal(called.set) as came:
        os.kill(os.getpid(), number)
        await asyncio.wait_for(called.wait(), timeout=10)
    assert came == [number]


@pytest.fixture
def nohup() -> Iterator[None]:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


async def test_under_nohup_a_closed_terminal_stops_nothing(nohup: None) -> None:
    called = asyncio.Event()
    with on_stop_signal(called.set) as came:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(called.wait(), timeout=10)
    assert came == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
