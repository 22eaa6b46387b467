"""Removes workers that are gone from the groups, and streams of versions that no worker serves.

Arguments: ms without a word from either, how many streams at the most. A worker with jobs stays: Redis would
forget that it has them. A stream with jobs stays, too: they may wait for a worker until their deadline.
"""

from __future__ import annotations

from typing import Final

from tfleet.jobs.scripts.script import Script

TIDY: Final = Script(
    "tidy",
    """\
local idle_ms, most, now = tonumber(ARGV[1]), ARGV[2], now_ms()
for _, stream in ipairs(redis.call('ZRANDMEMBER', P .. 'streams', most)) do
  local workers = redis.pcall('XINFO', 'CONSUMERS', P .. stream, GROUP)
  for _, about in ipairs(workers.err and {} or workers) do
    if about[4] == 0 and about[6] >= idle_ms then
      redis.call('XGROUP', 'DELCONSUMER', P .. stream, GROUP, about[2])
    end
  end
end
local old = redis.call('ZRANGEBYSCORE', P .. 'streams', '-inf', now - idle_ms, 'LIMIT', 0, most)
for _, stream in ipairs(old) do
  local length = redis.pcall('XLEN', P .. stream)
  if length == 0 then redis.call('DEL', P .. stream) end
  if length == 0 or type(length) == 'table' then
    redis.call('ZREM', P .. 'streams', stream)
  else
    redis.call('ZADD', P .. 'streams', now, stream)  -- look at others first
  end
end
""",
)
