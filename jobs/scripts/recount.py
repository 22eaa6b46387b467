"""Counts jobs and bytes anew. Scripts keep them right, so a difference means that a hand has changed keys.

No arguments. Returns the totals as they are now. A job whose hash is gone leaves the lists.
"""

from __future__ import annotations

from typing import Final

from tfleet.jobs.scripts.script import Script

RECOUNT: Final = Script(
    "recount",
    """\
local jobs, bytes = 0, 0
for _, set in ipairs({'open', 'settled', 'dead'}) do
  for _, id in ipairs(redis.call('ZRANGE', P .. set, 0, -1)) do
    local own = redis.call('HGET', job_key(id), 'bytes')
    if own then
      bytes = bytes + own
      if set == 'open' then jobs = jobs + 1 end
    else
      redis.call('ZREM', P .. set, id)
    end
  end
end
redis.call('HSET', P .. 'totals', 'jobs', jobs, 'bytes', bytes)
return {jobs, bytes}
""",
)
