"""Takes callbacks that are due, for a proxy that sends them.

Arguments: how many at the most, the largest number of tries, ms that one try may take. Each is due again
after that time and a pause that doubles, unless its proxy says that it was received. Returns id and URL of
each.
"""

from __future__ import annotations

from typing import Final

from tfleet.jobs.scripts.script import Script

TAKE_CALLBACKS: Final = Script(
    "take_callbacks",
    """\
local most, most_tries, try_ms, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), now_ms()
local taken = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'callbacks', '-inf', now, 'LIMIT', 0, most)) do
  local url = state_of(id) and redis.call('HGET', job_key(id), 'callback')
  local tries = url and redis.call('HINCRBY', job_key(id), 'callback_tries', 1)
  if not url or tries > most_tries then
    redis.call('ZREM', P .. 'callbacks', id)
    if url then count('callback_given_up') end
  else
    redis.call('ZADD', P .. 'callbacks', now + try_ms + 1000 * 2 ^ (tries - 1), id)
    taken[#taken + 1] = {id, url}
  end
end
return taken
""",
)
