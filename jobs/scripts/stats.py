"""Reads the figures of a shard, and changes nothing.

No arguments. Returns the jobs that wait, those that workers have, the dead ones, the bytes of all, how many
ms the oldest one has waited since it was last queued, and the names and numbers of all counts.
"""

from __future__ import annotations

from typing import Final

from tfleet.jobs.scripts.script import Script

STATS: Final = Script(
    "stats",
    """\
local waiting, running, oldest_ms, now = 0, 0, 0, now_ms()

-- The group of our workers; nothing where there is none, or no stream.
local function group_of(stream)
  local groups = redis.pcall('XINFO', 'GROUPS', P .. stream)
  for _, group in ipairs(groups.err and {} or groups) do
    if group[2] == GROUP then return group[6], group[8] end
  end
end

for _, stream in ipairs(redis.call('ZRANGE', P .. 'streams', 0, -1)) do
  local pending, last = group_of(stream)
  if pending then
    running = running + pending
    -- A hand may have deleted entries that are still pending.
    waiting = waiting + math.max(redis.call('XLEN', P .. stream) - pending, 0)
    local first = redis.call('XRANGE', P .. stream, '(' .. last, '+', 'COUNT', 1)[1]
    if first then oldest_ms = math.max(oldest_ms, now - tonumber(string.match(first[1], '^%d+'))) end
  end
end
local bytes = tonumber(redis.call('HGET', P .. 'totals', 'bytes') or 0)
local counts = redis.pcall('HGETALL', P .. 'counts')
return {waiting, running, redis.call('ZCARD', P .. 'dead'), bytes, oldest_ms, counts.err and {} or counts}
""",
)
