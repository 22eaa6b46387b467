import asyncio
import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.proxy.multiprocess.test_aggregate import row, tally
from tests.support.fake_worker import CLIENT_LIMITS, settings
from tfleet.contract.address import Address
from tfleet.contract.cors import Cors
from tfleet.contract.ticket import TicketKeys
from tfleet.contract.ticket_keys import KeyFileState
from tfleet.discovery.consul.access import Access, Tls
from tfleet.discovery.instance import Instance
from tfleet.discovery.plan import Canary, Plan
from tfleet.discovery.plan_watch import Plans
from tfleet.discovery.registry import ConsulRegistry, EmbeddedRegistry
from tfleet.discovery.reported_versions import ReportedVersion, VersionState
from tfleet.jobs.job import JobLimits, JobTimes
from tfleet.jobs.redis_url import read_redis_urls
from tfleet.proxy.balancing.versions import ModelVersion
from tfleet.proxy.multiprocess.json_codec import JsonError
from tfleet.proxy.multiprocess.messages import (
    MAX_MESSAGE_BYTES,
    Drain,
    KnownFleet,
    Listening,
    Message,
    Ready,
    Registered,
    Report,
    ReportRequest,
    Start,
    decode,
    encode,
    receive,
    send,
)
from tfleet.proxy.settings import JobSettings
from tfleet.proxy.telemetry.metrics import exposition
from tfleet.runtime.log import LogSettings

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

TLS = Tls(ca_file=Path("/ca.pem"), verify=False, server_name="consul")
JOBS = JobSettings(
    read_redis_urls("redis://:secret@a,redis://b/1"),
    JobLimits(1, 2),
    JobTimes(3, 4),
    ("https://a.example/",),
    Path("/key"),
)
START = Start(
    number=1,
    settings=settings(
        registry=EmbeddedRegistry(Address("::1", 1), Path("/token"), Path("/data")),
        advertise=Address("proxy.example", 80),
        client_limits=CLIENT_LIMITS.__class__(10, 1.0, 2.0, idle_give_way=True),
        cors=Cors(frozenset({"https://a.example"})),
    ),
    ticket_keys=KeyFileState(Path("/keys"), TicketKeys((b"\x00\xff" * 16,)), (1, 2, 3)),
    registry=ConsulRegistry(Address("127.0.0.1", 1), Access("secret", tls=TLS)),
    known=KnownFleet(
        (Instance("w1", Address("::1", 2), "model", "3", Address("a.example", 3)), row().instance),
        Plans(
            {"m": Plan("1", Canary("2", 10.0), labels={"type": "1"}), "type": Plan("a")},
            default="m",
            loading=(ReportedVersion(VersionState.LOADING, "n", "1", "it starts", "box:/m", 1.0),),
        ),
    ),
    pages=Path("/tmp/tfleet-1/pages"),
    name="",
    logs=LogSettings("json"),
)
MESSAGES = [
    START,
    Start(
        2,
        replace(settings(), jobs=JOBS),
        None,
        None,
        KnownFleet(),
        Path("/pages"),
        "tfleet-proxy-1",
        LogSettings(level="debug"),
    ),
    Listening(Address("127.0.0.1", 1)),
    Ready(),
    Registered("x" * 300_000),
    Drain(),
    ReportRequest(),
    Report(),
    Report((), (row(), row(name="w2")), has_worker=True, left=(ModelVersion("wine", "2"),)),
]


async def pair() -> tuple[Streams, Streams]:
    one, other = socket.socketpair()
    limit = MAX_MESSAGE_BYTES
    return (
        await asyncio.open_connection(sock=one, limit=limit),
        await asyncio.open_connection(sock=other, limit=limit),
    )


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_survives_a_round_trip_as_json(message: Message) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert json.loads(line)["type"] == type(message).__name__
    assert decode(line) == message


async def test_messages_arrive_in_order_until_the_end() -> None:
    report = Report(tuple(tally(("/", 200, 0.1))), (row(),))
    messages: list[Message] = [START, Registered("x" * 300_000), report]
    (_, writer), (reader, other) = await pair()
    for message in messages:
        send(writer, message)
    writer.close()
    assert await receive(reader) == messages[0]
    assert await receive(reader) == messages[1]
    last = await receive(reader)
    assert isinstance(last, Report)
    assert last.workers == report.workers
    assert exposition(last.families) == exposition(report.families)
    assert await receive(reader) is None
    other.close()


async def test_an_incomplete_message_is_ignored() -> None:
    (_, writer), (reader, other) = await pair()
    writer.write(encode(Drain())[:-5])
    writer.close()
    assert await receive(reader) is None
    send(writer, Registered("nobody"))
    other.close()


@pytest.mark.parametrize(
    "line",
    [
        b"\x80\x04N.\n",  # what pickle says
        b"1\n",
        b"[]\n",
        b"{}\n",
        b'{"type": "Unknown"}\n',
        b'{"type": "Listening"}\n',
        b'{"type": "Listening", "address": {"type": "Address", "host": 1, "port": 2}}\n',
        b'{"type": "Listening", "address": {"type": "Path", "host": "a", "port": 2}}\n',
        b'{"type": "Report", "families": 1, "workers": [], "has_worker": null}\n',
        b'{"type": "Report", "families": [], "workers": [[1, 2]], "has_worker": null}\n',
        b'{"type": "Report", "families": [["a"]], "workers": [], "has_worker": true}\n',
        b'{"type": "Report", "families": [], "workers": [], "has_worker": "yes"}\n',
        encode(START).replace(b'"forward"', b'"sideways"'),
    ],
)
def test_an_invalid_message_is_refused(line: bytes) -> None:
    with pytest.raises(JsonError):
        decode(line)


async def test_an_unreadable_message_ends_the_connection() -> None:
    (_, writer), (reader, other) = await pair()
    writer.write(b"no message\n" + encode(Drain()))
    with capture_logs() as logs:
        assert await receive(reader) is None
    assert logs[0]["event"] == "message between the proxy's processes can't be read"
    writer.close()
    other.close()


async def test_a_message_without_an_end_is_not_held_for_ever() -> None:
    one, other = socket.socketpair()
    reader, closed = await asyncio.open_connection(sock=one, limit=1000)
    _, writer = await asyncio.open_connection(sock=other)
    writer.write(b"x" * 3000)
    with capture_logs() as logs:
        assert await receive(reader) is None
    assert "limit" in logs[0]["error"]
    closed.close()
    writer.close()


async def test_a_message_that_is_too_large_is_not_sent() -> None:
    (_, writer), (reader, other) = await pair()
    with capture_logs() as logs:
        send(writer, Registered("x" * MAX_MESSAGE_BYTES))
    assert logs[0]["event"] == "message between the proxy's processes is too large"
    send(writer, Drain())
    assert await receive(reader) == Drain()
    writer.close()
    other.close()
