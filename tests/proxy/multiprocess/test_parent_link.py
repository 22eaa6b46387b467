import asyncio

from tests.proxy.multiprocess.test_messages import pair
from tfleet.proxy.multiprocess.messages import Drain, Registered, Report, ReportRequest, receive, send
from tfleet.proxy.multiprocess.parent_link import ParentLink
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


async def test_a_listener_that_serves_nobody_yet_reports_nothing() -> None:
    (ours, writer), (reader, parent) = await pair()
    async with asyncio.TaskGroup() as group:
        group.create_task(ParentLink(ours, writer, Readiness()).run())
        send(parent, ReportRequest())
        assert await receive(reader) == Report()
        parent.close()
    writer.close()
