import asyncio
import json

import pytest

from tests.proxy.multiprocess.test_aggregate import row
from tests.proxy.multiprocess.test_messages import pair
from tests.support.waiting import eventually
from tfleet.proxy.multiprocess.messages import (
    Drain,
    Registered,
    Report,
    ReportRequest,
    Totals,
    TotalsRequest,
    receive,
    send,
)
from tfleet.proxy.multiprocess.parent_link import ParentLink
from tfleet.proxy.problems import ProblemError
from tfleet.proxy.readiness import Readiness


async def test_the_parents_drain_state_and_name_apply_here() -> None:
    (ours, writer), (_, parent) = await pair()
    readiness = Readiness()
    send(parent, Registered("tfleet-proxy-1"))
    send(parent, Drain())
    parent.close()
    await ParentLink(ours, writer, readiness).run()  # and it returns when the parent is gone
    assert (readiness.name, readiness.draining) == ("tfleet-proxy-1", True)
    writer.close()


async def test_pages_get_what_the_parent_has_added_up() -> None:
    (ours, writer), (reader, parent) = await pair()
    link = ParentLink(ours, writer, Readiness())
    async with asyncio.TaskGroup() as group:
        group.create_task(link.run())
        metrics = group.create_task(link.metrics())
        assert await receive(reader) == TotalsRequest()
        gone = group.create_task(link.workers())
        assert await receive(reader) == TotalsRequest()
        gone.cancel()  # its client has left
        workers = group.create_task(link.workers())
        assert await receive(reader) == TotalsRequest()
        for text in ("first", "second", "third"):
            send(parent, Totals(text, (row(in_flight=len(text)),)))
        assert await metrics == b"first"
        assert '"in_flight": 5' in json.dumps(await workers), "each gets the answer to its own question"
        send(parent, ReportRequest())
        assert await receive(reader) == Report(), "that it serves nobody yet"
        parent.close()
    writer.close()


async def test_a_parent_that_says_nothing_is_a_problem_document() -> None:
    (ours, writer), (_, parent) = await pair()
    with pytest.raises(ProblemError) as caught:
        await ParentLink(ours, writer, Readiness()).metrics()
    assert caught.value.problem.status == 503
    for one in (writer, parent):
        one.close()
    await eventually(lambda: asyncio.sleep(0, writer.is_closing()))


async def test_an_answer_for_an_ended_listener_is_dropped() -> None:
    """The listener in its place does not get it."""
    (ours, writer), (_, parent) = await pair()
    readiness = Readiness()
    send(parent, Totals("late", ()))
    send(parent, Registered("tfleet-proxy-1"))
    parent.close()
    await ParentLink(ours, writer, readiness).run()
    assert readiness.name == "tfleet-proxy-1", "it goes on hearing"
    writer.close()
