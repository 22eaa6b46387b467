"""Queues a job again that its worker has not computed.

Arguments: the worker, the stream, the entry, the id, whether the worker has tried, the delivery at which a
job is dead, ms to keep dead jobs. Returns 1 if the worker had the job. It is behind all others then.

One that was tried before, or now, may be the reason why workers die or hang. It stays in the stream as a job
that nobody renews, so that it comes by `reclaim` when the visibility is over, and alone. A worker that only
refuses a job has not tried it.
"""

from __future__ import annotations

from typing import Final

from tfleet.jobs.scripts.script import Script

PUT_BACK: Final = Script(
    "put_back",
    """\
local worker, stream, entry, id, tried = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1'
local most, dead_ms = tonumber(ARGV[6]), tonumber(ARGV[7])
if holder_of(stream, entry) ~= worker then return 0 end
if not is_open(state_of(id)) or redis.call('HGET', job_key(id), 'entry') ~= entry then
  redis.call('XACK', P .. stream, GROUP, entry)
  redis.call('XDEL', P .. stream, entry)
  return 0
end
local deliveries = deliveries_of(id)
if was_begun_by(worker, id) and not tried then deliveries = deliveries - 1 end
redis.call('HSET', job_key(id), 'state', 'queued', 'deliveries', deliveries)
if deliveries + 1 >= most then
  bury(id, deliveries, worker, now_ms(), dead_ms)
  return 1
end
if deliveries > 0 then
  redis.call('XCLAIM', P .. stream, GROUP, 'put-back', 0, entry, 'JUSTID')
else
  redis.call('XACK', P .. stream, GROUP, entry)
  redis.call('XDEL', P .. stream, entry)
  add_to_stream(id, stream)
end
count('put_back')
return 1
""",
)
