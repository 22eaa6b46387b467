"""Settles jobs past their deadline, and forgets old answers and old dead jobs.

Arguments: how many of each at the most. Returns how many there were.
"""

from __future__ import annotations

from typing import Final

from tfleet.jobs.scripts.script import Script

EXPIRE: Final = Script(
    "expire",
    """\
return expire_some(now_ms(), tonumber(ARGV[1]))
""",
)
