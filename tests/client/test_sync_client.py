from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tfleet.client import BadImageError, BadProxyError, DeadlineExceededError, FleetClient
from tfleet.client.sync_client import LoopThread, start_coroutine

if TYPE_CHECKING:
    from tests.client.conftest import ScriptedFleet


def client_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "tfleet-client"]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    if client_threads():  # of a client that the test forgot; to look through all objects takes a while
        gc.collect()
    assert not client_threads()


@pytest.mark.parametrize("p2p", [False, True])
def test_a_photograph_is_classified(fleet: ScriptedFleet, photo: Path, p2p: bool) -> None:
    worker = fleet.server()
    proxy = fleet.server(otherwise=fleet.names(worker.address)) if p2p else worker
    with FleetClient(proxy.url, p2p=p2p, top=2) as client:
        result = client.classify(photo)
    assert result.predictions[0].label == "tabby"
    assert worker.seen[0].path == "/predict?top=2"


def test_errors_equal_those_of_the_async_client(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(otherwise=fleet.problem(400, "no image"))
    with FleetClient(proxy.url) as client:
        with pytest.raises(BadImageError, match="no image"):
            client.classify(b"text")
        assert isinstance(client.outcome(b"text").error, BadImageError)


def test_a_call_ends_with_its_time(fleet: ScriptedFleet) -> None:
    with (
        FleetClient(fleet.server(fleet.never()).url, timeout_s=0.1) as client,
        pytest.raises(DeadlineExceededError),
    ):
        client.classify(b"BM")


def test_a_worker_that_never_answers_costs_one_attempt(fleet: ScriptedFleet) -> None:
    silent, good = fleet.server(fleet.never()), fleet.server()
    proxy = fleet.server(otherwise=fleet.names(silent.address, good.address))
    with FleetClient(proxy.url, p2p=True, timeout_s=8, try_timeout_s=0.5) as client:
        assert client.classify(b"BM").retries == 1


def test_many_images_have_outcomes_in_their_order(fleet: ScriptedFleet, photos: list[Path]) -> None:
    sources = [*photos, Path("missing.jpg")]
    with FleetClient(fleet.server().url) as client:
        outcomes = list(client.classify_many(iter(sources), concurrency=2, top=1))
    assert [outcome.source for outcome in outcomes] == sources
    assert [outcome.error is None for outcome in outcomes] == [True] * 4 + [False]


def test_leaving_the_loop_early_leaves_a_client_that_works(fleet: ScriptedFleet) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"BM"

    with FleetClient(fleet.server().url) as client:
        outcomes = client.classify_many(endless())
        assert next(outcomes).error is None
        outcomes.close()
        assert client.classify(b"BM").worker == "tfleet-w1"


def test_an_iteration_that_outlives_the_client_ends(fleet: ScriptedFleet) -> None:
    client = FleetClient(fleet.server().url)
    outcomes = client.classify_many([b"BM"] * 3)
    next(outcomes)
    client.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        next(outcomes)


def test_workers_lists_the_proxys_workers(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(otherwise=fleet.workers({"id": "w1", "address": "a:1", "new": 1}))
    with FleetClient(proxy.url) as client:
        assert [worker.id for worker in client.workers()] == ["w1"]
        assert client.workers_document()["workers"][0]["new"] == 1


def test_many_threads_share_a_client_and_its_one_thread(fleet: ScriptedFleet) -> None:
    proxy = fleet.server()
    with FleetClient(proxy.url, max_connections=4) as client, ThreadPoolExecutor(16) as pool:
        assert not client_threads()
        results = list(pool.map(lambda _: client.classify(b"BM"), range(100)))
        assert len(client_threads()) == 1
    assert len({result.request_id for result in results}) == 100
    assert len({seen.peer for seen in proxy.seen}) <= 4


def test_a_closed_client_stays_closed(fleet: ScriptedFleet) -> None:
    client = FleetClient(fleet.server().url)
    assert repr(client).endswith("not started>")
    client.classify(b"BM")
    assert repr(client).endswith("running>")
    client.close()
    client.close()
    assert repr(client).endswith("closed>")
    with pytest.raises(RuntimeError, match="the client is closed"):
        client.classify(b"BM")


def test_a_bad_argument_fails_before_the_first_call() -> None:
    with pytest.raises(BadProxyError):
        FleetClient("not an address")


def test_a_forgotten_client_is_closed_by_the_garbage_collector(fleet: ScriptedFleet) -> None:
    FleetClient(fleet.server().url).classify(b"BM")
    # The fixture looks for the thread.


def program(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.process
def test_an_unclosed_client_does_not_block_program_exit(fleet: ScriptedFleet) -> None:
    code = """
import sys
from tfleet.client import FleetClient
client = FleetClient(sys.argv[1])
print(client.classify(b"BM").worker)
"""
    out, err = program(code, fleet.server().url).communicate(timeout=20)
    assert (out, err) == ("tfleet-w1\n", "")


@pytest.mark.process
def test_ctrl_c_interrupts_a_call_and_the_client_still_works(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(fleet.never())
    code = """
import sys
from tfleet.client import FleetClient
with FleetClient(sys.argv[1]) as client:
    try:
        next(client.classify_many([b"BM"] * 2, concurrency=1))
    except KeyboardInterrupt:
        print("interrupted", client.classify(b"BM").worker)
"""
    process = program(code, proxy.url)
    proxy.wait_for(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (out, err, process.returncode) == ("interrupted tfleet-w1\n", "", 0)


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_opens_its_own_connections(fleet: ScriptedFleet) -> None:
    proxy = fleet.server()
    code = """
import os, sys
from tfleet.client import FleetClient
client, unused = FleetClient(sys.argv[1]), FleetClient(sys.argv[1])
client.classify(b"parent")
child = os.fork()
if not child:
    assert "not started" in repr(client)
    client.classify(b"child")
    unused.classify(b"child")
    client.close()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
client.classify(b"parent")
client.close()
"""
    process = program(code, proxy.url)
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0
    peers = {body: {seen.peer for seen in proxy.seen if seen.body == body} for body in (b"parent", b"child")}
    assert len(peers[b"parent"]) == 1
    assert len(peers[b"child"]) == 2
    assert not peers[b"parent"] & peers[b"child"]


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


def test_a_client_can_be_closed_from_its_own_thread(loop: LoopThread) -> None:
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
    start_coroutine(nothing_is_made, done)


async def test_the_result_of_an_interrupted_call_is_dropped() -> None:
    done: concurrent.futures.Future[None] = concurrent.futures.Future()

    async def ends_while_it_is_given_up() -> None:
        done.cancel()

    start_coroutine(ends_while_it_is_given_up, done)
    await asyncio.sleep(0)  # the task runs to its end before the cancellation reaches it
    await asyncio.sleep(0)
    assert done.cancelled()


def nothing_is_made() -> Coroutine[Any, Any, None]:
    raise AssertionError("it was begun")
