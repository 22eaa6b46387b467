"""Queues a dead job again, as if it had never been delivered.

Arguments: id, ms until its new deadline. Returns the state that it had, or nothing if there is no such job:
it is queued again only if it was dead.
"""

from __future__ import annotations

from typing import Final

from tfleet.jobs.scripts.script import Script

RETRY: Final = Script(
    "retry",
    """\
local id = ARGV[1]
local state = state_of(id)
if state ~= 'dead' then return state end
local deadline = now_ms() + tonumber(ARGV[2])
redis.call('ZREM', P .. 'dead', id)
redis.call('ZREM', P .. 'callbacks', id)
redis.call('HDEL', job_key(id), 'reason', 'settled_ms', 'worker', 'callback_tries')
redis.call('HSET', job_key(id), 'deadline_ms', deadline, 'deliveries', 0)
redis.call('HINCRBY', P .. 'totals', 'jobs', 1)
redis.call('ZADD', P .. 'open', deadline, id)
add_to_stream(id, redis.call('HGET', job_key(id), 'stream'))
return state
""",
)
