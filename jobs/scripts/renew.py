"""Resets the idle time of jobs that a worker still has, so that no other worker takes them.

Arguments: the worker, the stream, then the entries. Returns those that the worker has no more.
"""

from __future__ import annotations

from typing import Final

from tfleet.jobs.scripts.script import Script

RENEW: Final = Script(
    "renew",
    """\
local worker, stream, lost = ARGV[1], ARGV[2], {}
for at = 3, #ARGV do
  local entry = ARGV[at]
  local pending = redis.call('XPENDING', P .. stream, GROUP, entry, entry, 1)
  -- XCLAIM asks nobody: without this look it would take the job back from another worker.
  if pending[1] and pending[1][2] == worker then
    redis.call('XCLAIM', P .. stream, GROUP, worker, 0, entry, 'JUSTID')
  else
    lost[#lost + 1] = entry
  end
end
return lost
""",
)
