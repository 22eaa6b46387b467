"""Takes one job that nobody has renewed, for a worker that will run it alone.

Arguments: the worker, the stream, the visibility in ms, the delivery at which a job is dead, ms to keep dead
jobs. Returns the entry and the id, or nothing. Jobs with too many deliveries are made dead on the way.
"""

from __future__ import annotations

from typing import Final

from tfleet.jobs.scripts.script import Script

RECLAIM: Final = Script(
    "reclaim",
    """\
local worker, stream, visibility_ms = ARGV[1], ARGV[2], ARGV[3]
local most, dead_ms, now = tonumber(ARGV[4]), tonumber(ARGV[5]), now_ms()
for _, pending in ipairs(redis.call('XPENDING', P .. stream, GROUP, 'IDLE', visibility_ms, '-', '+', 100)) do
  local entry, holder = pending[1], pending[2]
  local found = redis.call('XRANGE', P .. stream, entry, entry)
  if not found[1] then
    -- Somebody has deleted the entry by hand. What is left is the note that it was delivered.
    redis.call('XACK', P .. stream, GROUP, entry)
  else
    local id = found[1][2][2]
    if not is_open(state_of(id)) or redis.call('HGET', job_key(id), 'entry') ~= entry then
      redis.call('XACK', P .. stream, GROUP, entry)
      redis.call('XDEL', P .. stream, entry)
    elseif deliveries_of(id) + 1 >= most then
      bury(id, deliveries_of(id), holder, now, dead_ms)
    else
      redis.call('XCLAIM', P .. stream, GROUP, worker, visibility_ms, entry)
      count('abandoned')
      return {entry, id}
    end
  end
end
return {}
""",
)
