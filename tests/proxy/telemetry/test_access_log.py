import asyncio
import io
import json
import select
from datetime import datetime, timedelta

import pytest
import structlog

from tfleet.proxy.telemetry.access_log import JsonLines, atomic_chunks


def structlog_s(**fields: object) -> dict[str, object]:
    """What structlog writes of it, as the processes of the fleet configure it."""
    stream = io.StringIO()
    log = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
    )
    log.info("request", **fields)
    found: dict[str, object] = json.loads(stream.getvalue())
    return found


@pytest.mark.parametrize("worker", ["w1", None])
async def test_a_line_is_what_structlog_would_write(worker: str | None) -> None:
    stream = io.StringIO()
    lines = JsonLines(stream, asyncio.get_running_loop())
    path = '/a"b\\\x01\u00e9'
    lines.write("id1", "POST", path, 200, 1.5, worker)
    await asyncio.sleep(0)
    found = json.loads(stream.getvalue())
    wanted = structlog_s(request_id="id1", method="POST", path=path, status=200, ms=1.5, worker=worker)
    written, reference = (datetime.fromisoformat(str(one.pop("timestamp"))) for one in (found, wanted))
    assert timedelta(0) <= reference - written < timedelta(minutes=1)
    assert found == wanted
    assert stream.getvalue().endswith("}\n")


async def test_the_lines_of_one_turn_go_out_together_and_none_twice() -> None:
    class Stream(io.StringIO):
        writes = 0

        def write(self, text: str) -> int:
            self.writes += 1
            return super().write(text)

    stream = Stream()
    lines = JsonLines(stream, asyncio.get_running_loop())
    for number in range(3):
        lines.write(f"id{number}", "POST", "/", 200, 1.0, None)
    assert stream.writes == 0
    await asyncio.sleep(0)
    lines.write("id3", "POST", "/", 200, 1.0, None)
    await asyncio.sleep(0)
    assert stream.writes == 2
    ids = [json.loads(line)["request_id"] for line in stream.getvalue().splitlines()]
    assert ids == ["id0", "id1", "id2", "id3"]


def test_log_lines_are_written_whole() -> None:
    """No other process can write into them."""
    lines = [f"{number:0{length}}\n" for number, length in enumerate([1000, 3000, 94, 94, 5000, 1, 1])]
    found = list(atomic_chunks(lines))
    assert "".join(found) == "".join(lines)
    assert all(len(piece) <= select.PIPE_BUF or piece == lines[4] for piece in found)
    assert len(found) == 4, "and in no more of them than it takes"
    assert list(atomic_chunks([])) == []
