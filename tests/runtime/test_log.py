import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.process


STRANGE = "a\x1b[2Jb\rc\nd\x9be\u202ef\u2028g"
HARMLESS = r"a\x1b[2Jb\rc\nd\x9be\u202ef\u2028g"

QUOTING = """
import logging, structlog
from tfleet.runtime import log
log.configure({format!r})
strange = {strange!r}
class Who:
    __repr__ = lambda _: strange
structlog.get_logger().info(strange, path=strange, ids=[strange], who=Who())
logging.getLogger("library").warning("beware of %s", strange)
try:
    raise ValueError(strange)
except ValueError:
    structlog.get_logger().exception("failed")
"""

SCRIPT = """
import logging, structlog
from tfleet.runtime import log
log.configure({format!r})
structlog.get_logger().info("request", request_id="abc", ms=1.5)
logging.getLogger("library").warning("beware of %s", "dogs")
logging.getLogger("library").info("not shown")
"""


def lines(log_format: str) -> list[str]:
    return written(SCRIPT.format(format=log_format)).split("\n")[:-1]


def written(script: str) -> str:
    run = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", script], capture_output=True, encoding="utf-8", check=True
    )
    assert run.stdout == ""
    return run.stderr


@pytest.mark.parametrize("log_format", ["json", "auto"])
def test_lines_are_json_off_a_terminal(log_format: str) -> None:
    """Warnings of libraries are among them."""
    ours, theirs = map(json.loads, lines(log_format))
    assert ours["event"] == "request"
    assert ours["request_id"] == "abc"
    assert ours["ms"] == 1.5
    assert ours["level"] == "info"
    assert theirs["event"] == "beware of dogs"
    assert theirs["level"] == "warning"


def test_lines_on_a_terminal_are_no_json() -> None:
    ours, theirs = lines("console")
    assert "request_id=abc" in ours
    assert "beware of dogs" in theirs
    assert not ours.startswith("{")


def test_client_text_is_escaped_on_a_terminal() -> None:
    text = written(QUOTING.format(format="console", strange=STRANGE))
    ours, theirs, failed, *trace = text.split("\n")[:-1]
    assert text.replace("\n", "").isprintable()
    assert ours.count(HARMLESS) == 4
    assert theirs.endswith(f"beware of {HARMLESS}")
    assert "failed" in failed
    assert all(line.startswith("  ") for line in trace), "no line of a trace looks like one of the log"
    assert r"ValueError: a\x1b[2Jb\rc" in text


def test_client_text_is_unchanged_in_json() -> None:
    text = written(QUOTING.format(format="json", strange=STRANGE))
    ours, theirs, failed = map(json.loads, text.split("\n")[:-1])
    assert ours["event"] == ours["path"] == ours["ids"][0] == STRANGE
    assert theirs["event"] == f"beware of {STRANGE}"
    assert STRANGE in failed["exception"]


def test_a_log_that_nobody_reads_keeps_nothing_from_going_on() -> None:
    """The reader of a pipe has ended: neither events nor warnings of libraries raise."""
    program = """
import logging, os, sys
from tfleet.runtime import log
log.configure("json")
import structlog
structlog.get_logger().info("lost", padding="x" * 100_000)
logging.getLogger("library").warning("lost as well")
stream = log.json_stream()
stream.write("lost, too")
stream.flush()
os.write(1, b"went on")
"""
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=False
    )
    os.close(theirs)
    assert done.stdout == b"went on"
