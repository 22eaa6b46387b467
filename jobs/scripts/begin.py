"""Marks jobs that a worker has read as running, and returns what it needs to compute them.

Arguments: the worker, the stream, the most bytes of all bodies, then the entry and the id of each job. A job
past its deadline is settled instead, an entry whose job is gone is removed, and one that another worker has
is passed over. Returns how many entries it has handled, as far as the bytes suffice but at least one, and for
each job its id, entry, target, headers, body, ms to its deadline and number of deliveries.

A delivery is counted here, and once for each worker, however often it asks. Redis counts reads: also those
whose answer was lost, where no worker was ever in danger.
"""

from __future__ import annotations

from typing import Final

from tfleet.jobs.scripts.script import Script

BEGIN: Final = Script(
    "begin",
    """\
local worker, stream, most_bytes = ARGV[1], ARGV[2], tonumber(ARGV[3])
local now, taken, handled, bytes = now_ms(), {}, 0, 0

local function begin(entry, id)
  local found = {}
  if is_open(state_of(id)) then
    found = redis.call('HMGET', job_key(id), 'entry', 'deadline_ms', 'target', 'headers')
  end
  local body = found[1] and redis.call('HGET', job_key(id), 'body')
  if found[1] ~= entry or not (found[2] and found[3] and found[4] and body) then
    redis.call('XACK', P .. stream, GROUP, entry)
    redis.call('XDEL', P .. stream, entry)
  elseif tonumber(found[2]) <= now then
    leave_stream(id)
    settle_open_job(id, 'expired', now, 0)
  else
    local deliveries = deliveries_of(id)
    if not was_begun_by(worker, id) then deliveries = deliveries + 1 end
    redis.call('HSET', job_key(id), 'state', 'running', 'worker', worker, 'deliveries', deliveries)
    taken[#taken + 1] = {id, entry, found[3], found[4], body, tonumber(found[2]) - now, deliveries}
  end
end

for at = 4, #ARGV, 2 do
  local entry, id = ARGV[at], ARGV[at + 1]
  if holder_of(stream, entry) == worker then
    local size = redis.pcall('HSTRLEN', job_key(id), 'body')
    bytes = bytes + (tonumber(size) or 0)
    if #taken > 0 and bytes > most_bytes then break end
    begin(entry, id)
  end
  handled = handled + 1
end
return {handled, taken}
""",
)
