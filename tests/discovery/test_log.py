import json
import subprocess
import sys

import pytest

SCRIPT = """
import logging, structlog
from tfleet.discovery import log
log.configure({format!r})
structlog.get_logger().info("request", request_id="abc", ms=1.5)
logging.getLogger("library").warning("beware of %s", "dogs")
logging.getLogger("library").info("not shown")
"""


def lines(log_format: str) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(format=log_format)], capture_output=True, text=True, check=True
    )
    assert run.stdout == ""
    return run.stderr.splitlines()


@pytest.mark.parametrize("log_format", ["json", "auto"])
def test_lines_are_json_where_nobody_watches_and_libraries_warnings_are_among_them(log_format: str) -> None:
    ours, theirs = map(json.loads, lines(log_format))
    assert ours["event"] == "request"
    assert ours["request_id"] == "abc"
    assert ours["ms"] == 1.5
    assert ours["level"] == "info"
    assert theirs["event"] == "beware of dogs"
    assert theirs["level"] == "warning"


def test_lines_for_people_are_no_json() -> None:
    ours, theirs = lines("console")
    assert "request_id=abc" in ours
    assert "beware of dogs" in theirs
    assert not ours.startswith("{")
