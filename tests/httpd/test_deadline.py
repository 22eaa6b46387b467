import asyncio

from tests.support.waiting import eventually
from tfleet.httpd.timers import Deadline


async def test_a_deadline_fires_once_at_the_time_set_last() -> None:
    loop, rang = asyncio.get_running_loop(), []
    deadline = Deadline(loop, lambda: rang.append(loop.time()))
    began_s = loop.time()
    deadline.set(began_s + 0.05)
    deadline.set(began_s + 0.2)
    await eventually(lambda: asyncio.sleep(0, rang))
    assert rang[0] >= began_s + 0.2
    await asyncio.sleep(0.1)
    assert len(rang) == 1


async def test_a_deadline_can_be_set_to_an_earlier_time() -> None:
    loop, rang = asyncio.get_running_loop(), asyncio.Event()
    deadline = Deadline(loop, rang.set)
    deadline.set(loop.time() + 60)
    deadline.set(loop.time() + 0.05)
    async with asyncio.timeout(5):
        await rang.wait()


async def test_a_cleared_deadline_is_silent_and_can_be_set_again() -> None:
    loop, rang = asyncio.get_running_loop(), []
    deadline = Deadline(loop, lambda: rang.append(1))
    deadline.set(loop.time() + 0.02)
    deadline.set(None)
    other = asyncio.Event()
    Deadline(loop, other.set).set(loop.time() + 0.1)
    await other.wait()
    assert rang == []
    deadline.set(loop.time() + 0.02)
    await eventually(lambda: asyncio.sleep(0, rang))


async def test_a_cancelled_deadline_never_fires() -> None:
    loop, rang = asyncio.get_running_loop(), []
    deadline = Deadline(loop, lambda: rang.append(1))
    deadline.set(loop.time() + 0.02)
    deadline.cancel()
    other = asyncio.Event()
    Deadline(loop, other.set).set(loop.time() + 0.1)
    await other.wait()
    assert rang == []
