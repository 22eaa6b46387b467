"""Marks jobs that a worker has read as running, and returns what it needs to compute them.

Arguments: the worker, the stream, then the entry and the id of each job. A job past its deadline is settled
instead, and an entry whose job is gone is removed. Returns for each of the others its id, entry, target,
headers, body, ms to its deadline and number of deliveries.
"""

from __future__ import annotations

from typing import Final

from tfleet.jobs.scripts.script import Script

BEGIN: Final = Script(
    "begin",
    """\
local worker, stream, now, taken = ARGV[1], ARGV[2], now_ms(), {}
for at = 3, #ARGV, 2 do
  local entry, id = ARGV[at], ARGV[at + 1]
  local found = {}
  if is_open(state_of(id)) then
    found = redis.call('HMGET', job_key(id), 'entry', 'deadline_ms', 'target', 'headers', 'body')
  end
  if found[1] ~= entry or not (found[2] and found[3] and found[4] and found[5]) then
    redis.call('XACK', P .. stream, GROUP, entry)
    redis.call('XDEL', P .. stream, entry)
  elseif tonumber(found[2]) <= now then
    leave_stream(id)
    settle_open_job(id, 'expired', now, 0)
  else
    local pending = redis.call('XPENDING', P .. stream, GROUP, entry, entry, 1)
    local deliveries = pending[1] and pending[1][4] or 1
    redis.call('HSET', job_key(id), 'state', 'running', 'worker', worker, 'deliveries', deliveries)
    taken[#taken + 1] = {id, entry, found[3], found[4], found[5], tonumber(found[2]) - now, deliveries}
  end
end
return taken
""",
)
