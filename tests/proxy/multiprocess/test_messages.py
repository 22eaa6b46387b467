import asyncio
import socket

from tests.proxy.multiprocess.test_aggregate import row, tally
from tests.proxy.stand_in import settings
from tfleet.contract.address import Address
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.multiprocess.messages import Begin, Called, Message, Told, receive, send
from tfleet.proxy.telemetry.metrics import exposition

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def pair() -> tuple[Streams, Streams]:
    one, other = socket.socketpair()
    return await asyncio.open_connection(sock=one), await asyncio.open_connection(sock=other)


async def test_messages_arrive_as_they_were_and_then_the_end() -> None:
    begin = Begin(1, settings(), ConsulRegistry(Address("127.0.0.1", 1)), (row().instance,), "", "json")
    told = Told(tuple(tally(("/", 200, 0.1))), (row(),))
    messages: list[Message] = [begin, Called("x" * 300_000), told]
    (_, writer), (reader, other) = await pair()
    for message in messages:
        send(writer, message)
    writer.close()
    assert await receive(reader) == begin
    assert await receive(reader) == messages[1]
    last = await receive(reader)
    assert isinstance(last, Told)
    assert last.workers == told.workers
    assert exposition(last.families) == exposition(told.families)
    assert await receive(reader) is None
    other.close()


async def test_half_a_message_is_none_and_nobody_need_hear_one() -> None:
    (_, writer), (reader, other) = await pair()
    writer.write(b"\0\0\0\5abc")
    writer.close()
    assert await receive(reader) is None
    send(writer, Called("nobody"))
    other.close()
