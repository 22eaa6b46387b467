"""Notes that a stream is in use, and makes it with its group of workers where there is none.

A read of a group that is not there fails.

Arguments: the stream.
"""

from __future__ import annotations

from typing import Final

from tfleet.jobs.scripts.script import Script

OPEN_STREAM: Final = Script(
    "open_stream",
    """\
open_group(ARGV[1])
""",
)
