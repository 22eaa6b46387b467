from __future__ import annotations

import io
import os
from contextlib import suppress

from tfleet.deploy.local.terminal import Console


def test_each_line_names_its_process_in_one_column() -> None:
    out, err = io.StringIO(), io.StringIO()
    console = Console(out, err, width=8)
    console.say("hello")
    console.relay("worker-1", "ready")
    console.show("curl localhost")
    assert err.getvalue() == "up       | hello\nworker-1 | ready\n"
    assert out.getvalue() == "curl localhost\n"


def test_quoted_output_cannot_move_the_cursor() -> None:
    err = io.StringIO()
    Console(io.StringIO(), err).relay("w", "a\x1b[2J\rb\tc\u202ed\x9b")
    assert err.getvalue() == "w  | a\\x1b[2J\\rb\tc\\u202ed\\x9b\n"


def test_a_reader_that_is_gone_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    Console(stream, stream).say("nobody hears this")
    os.close(writing)
    with suppress(OSError):  # what was left in the buffer, on a descriptor that is closed
        stream.close()
