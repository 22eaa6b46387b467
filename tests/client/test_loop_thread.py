from __future__ import annotations

import asyncio
import concurrent.futures
import signal
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from tfleet.client.sync_client import LoopThread, begin


async def nothing() -> None:
    pass


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    loop = LoopThread(nothing)
    yield loop
    loop.close()


async def where() -> threading.Thread:
    return threading.current_thread()


def test_coroutines_of_all_threads_run_in_one_daemon(loop: LoopThread) -> None:
    threads = []
    callers = [threading.Thread(target=lambda: threads.append(loop.run(where))) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(threads) == 8
    (thread,) = set(threads)
    assert thread.daemon


def test_an_error_is_raised_in_the_caller(loop: LoopThread) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        loop.run(fail)


def test_closing_awaits_the_cleanup_and_ends_the_thread() -> None:
    ended_in = []

    async def at_end() -> None:
        ended_in.append(threading.current_thread())

    loop = LoopThread(at_end)
    thread = loop.run(where)
    loop.close()
    loop.close()
    assert ended_in == [thread]
    assert not thread.is_alive()


def test_a_call_under_way_at_closing_fails(loop: LoopThread) -> None:
    begun = threading.Event()
    errors: list[BaseException] = []

    async def wait_for_ever() -> None:
        begun.set()
        await asyncio.Event().wait()

    def call() -> None:
        try:
            loop.run(wait_for_ever)
        except RuntimeError as error:
            errors.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    begun.wait()
    loop.close()
    caller.join()
    assert [str(error) for error in errors] == ["the client is closed"]


def test_a_call_after_closing_is_refused(loop: LoopThread) -> None:
    loop.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        loop.run(nothing)


def test_it_can_be_closed_from_its_own_thread(loop: LoopThread) -> None:
    """As the garbage collector does, which runs wherever it likes."""

    async def close() -> threading.Thread:
        loop.close()
        return threading.current_thread()

    loop.run(close).join()


def test_an_interrupt_cancels_the_coroutine(loop: LoopThread) -> None:
    caller = threading.get_ident()
    cancelled = threading.Event()

    async def interrupt_the_caller() -> None:
        signal.pthread_kill(caller, signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(KeyboardInterrupt):
        loop.run(interrupt_the_caller)
    assert cancelled.wait(10)


async def test_a_cancelled_coroutine_never_starts() -> None:
    done: concurrent.futures.Future[None] = concurrent.futures.Future()
    done.cancel()
    begin(nothing_is_made, done)


async def test_an_abandoned_result_is_dropped() -> None:
    done: concurrent.futures.Future[None] = concurrent.futures.Future()

    async def ends_while_it_is_given_up() -> None:
        done.cancel()

    begin(ends_while_it_is_given_up, done)
    await asyncio.sleep(0)  # the task runs to its end before the cancellation reaches it
    await asyncio.sleep(0)
    assert done.cancelled()


def nothing_is_made() -> Coroutine[Any, Any, None]:
    raise AssertionError("it was begun")
