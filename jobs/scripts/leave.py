"""Removes a worker from the consumer group, if it has no jobs.

Arguments: the worker, the stream. Redis forgets what a removed consumer had, so its jobs would be lost.
Returns 1 if it is gone.
"""

from __future__ import annotations

from typing import Final

from tfleet.jobs.scripts.script import Script

LEAVE: Final = Script(
    "leave",
    """\
local worker, stream = ARGV[1], ARGV[2]
if redis.call('EXISTS', P .. stream) == 0 then return 1 end
for _, about in ipairs(redis.call('XINFO', 'CONSUMERS', P .. stream, GROUP)) do
  if about[2] == worker then
    if about[4] > 0 then return 0 end
    redis.call('XGROUP', 'DELCONSUMER', P .. stream, GROUP, worker)
  end
end
return 1
""",
)
