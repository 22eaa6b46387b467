"""A script: its text behind what all of them share.

A Redis whose memory is full refuses commands that may need more. A script that has begun to write goes on all
the same, so one that may not run then is refused as a whole, by its first line: that is `submit`. All others
run: else a full queue would never get empty.

What is read may be from somebody else: a key of another type, an entry that nobody submitted. Scripts skip
that, so that it holds up nothing behind it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from tfleet.jobs.counts import ANSWER_BUCKETS_MS

GROUP: Final = "workers"
"""The consumer group of each stream."""

# settle_open_job ends an open job, whose body nobody needs any more. A dead job keeps its body: it may be
# queued again.
_BUCKETS: Final = f"local BUCKETS_MS = {{{', '.join(map(str, ANSWER_BUCKETS_MS))}}}\n"
_COMMON: Final = """
local P = KEYS[1]
local GROUP = 'workers'
local OVERHEAD = 1024

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function job_key(id)
  return P .. 'job:' .. id
end

-- Nothing for a key that holds something else.
local function state_of(id)
  local state = redis.pcall('HGET', job_key(id), 'state')
  return type(state) == 'string' and state or nil
end

local function is_open(state)
  return state == 'queued' or state == 'running'
end

-- How many workers have begun the job, less those that refused it. What others wrote counts for nothing.
local function deliveries_of(id)
  return tonumber(redis.call('HGET', job_key(id), 'deliveries') or 0) or 0
end

local function was_begun_by(worker, id)
  local found = redis.call('HMGET', job_key(id), 'state', 'worker')
  return found[1] == 'running' and found[2] == worker
end

-- The worker that has read this entry, if one has it still.
local function holder_of(stream, entry)
  local pending = redis.call('XPENDING', P .. stream, GROUP, entry, entry, 1)
  return pending[1] and pending[1][2]
end

local function open_group(stream)
  redis.call('ZADD', P .. 'streams', now_ms(), stream)
  if redis.call('EXISTS', P .. stream) == 1 then
    for _, group in ipairs(redis.call('XINFO', 'GROUPS', P .. stream)) do
      if group[2] == GROUP then return end
    end
  end
  redis.call('XGROUP', 'CREATE', P .. stream, GROUP, '0', 'MKSTREAM')
end

-- What is only counted for metrics holds up no job: a key of another type is passed over.
local function count(name, by)
  redis.pcall('HINCRBY', P .. 'counts', name, by or 1)
end

-- Counts an answer into the first bucket with room for its time; behind the last bound there is one more.
local function count_time(ms)
  local bucket = 1
  while BUCKETS_MS[bucket] and ms > BUCKETS_MS[bucket] do bucket = bucket + 1 end
  count('bucket' .. bucket)
  count('answer_ms', ms)
end

local function leave_stream(id)
  local found = redis.call('HMGET', job_key(id), 'stream', 'entry')
  if not found[1] then return end
  redis.call('XACK', P .. found[1], GROUP, found[2])
  redis.call('XDEL', P .. found[1], found[2])
end

local function add_to_stream(id, stream)
  if redis.call('EXISTS', P .. stream) == 0 then open_group(stream) end
  local entry = redis.call('XADD', P .. stream, '*', 'id', id)
  redis.call('HSET', job_key(id), 'state', 'queued', 'stream', stream, 'entry', entry)
end

local function set_bytes(id, bytes)
  local before = tonumber(redis.call('HGET', job_key(id), 'bytes') or 0)
  redis.call('HSET', job_key(id), 'bytes', bytes)
  redis.call('HINCRBY', P .. 'totals', 'bytes', bytes - before)
end

local function close_job(id, state, now)
  count(state)
  if state == 'done' then count_time(now - tonumber(redis.call('HGET', job_key(id), 'submitted_ms'))) end
  redis.call('ZREM', P .. 'open', id)
  redis.call('HINCRBY', P .. 'totals', 'jobs', -1)
  redis.call('HSET', job_key(id), 'state', state, 'settled_ms', now)
  if redis.call('HGET', job_key(id), 'callback') then
    redis.call('ZADD', P .. 'callbacks', now, id)
  end
  redis.call('PUBLISH', P .. 'settled', id)
end

local function settle_open_job(id, state, now, answer_bytes)
  local keep_ms = tonumber(redis.call('HGET', job_key(id), 'keep_ms') or 0)
  redis.call('HDEL', job_key(id), 'body', 'headers')
  set_bytes(id, OVERHEAD + answer_bytes)
  redis.call('ZADD', P .. 'settled', now + keep_ms, id)
  close_job(id, state, now)
end

-- A dead job keeps its body, until it is retried, dropped or forgotten.
local function bury(id, deliveries, holder, now, dead_ms)
  leave_stream(id)
  redis.call('HSET', job_key(id), 'deliveries', deliveries, 'reason',
    deliveries .. ' workers died, or stopped, while they had this job; the last one was ' .. holder)
  redis.call('ZADD', P .. 'dead', now + dead_ms, id)
  close_job(id, 'dead', now)
end

local function forget(id)
  local found = redis.call('HMGET', job_key(id), 'bytes', 'key')
  if not found[1] then return end
  redis.call('HINCRBY', P .. 'totals', 'bytes', -found[1])
  if found[2] and redis.call('GET', P .. 'key:' .. found[2]) == id then
    redis.call('DEL', P .. 'key:' .. found[2])
  end
  redis.call('ZREM', P .. 'settled', id)
  redis.call('ZREM', P .. 'dead', id)
  redis.call('ZREM', P .. 'callbacks', id)
  redis.call('DEL', job_key(id))
end

local function expire_some(now, most)
  local handled = 0
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'open', '-inf', now, 'LIMIT', 0, most)) do
    if is_open(state_of(id)) then
      leave_stream(id)
      settle_open_job(id, 'expired', now, 0)
    else
      redis.call('ZREM', P .. 'open', id)
    end
    handled = handled + 1
  end
  for _, set in ipairs({'settled', 'dead'}) do
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. set, '-inf', now, 'LIMIT', 0, most)) do
      if state_of(id) then forget(id) end
      redis.call('ZREM', P .. set, id)
      handled = handled + 1
    end
  end
  return handled
end
"""


@dataclass(frozen=True, slots=True)
class Script:
    """One script. `body` uses the functions above; `sha` is the name that Redis knows it by. A Redis without
    free memory refuses one that `needs_room`.
    """

    name: str
    body: str
    needs_room: bool = False
    text: str = field(init=False)
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        first = "#!lua" if self.needs_room else "#!lua flags=allow-oom"
        text = f"{first}\n{_BUCKETS}{_COMMON}{self.body}"
        object.__setattr__(self, "text", text)
        digest = hashlib.sha1(text.encode(), usedforsecurity=False)  # as EVALSHA wants it
        object.__setattr__(self, "sha", digest.hexdigest())

    def __repr__(self) -> str:
        return f"<Script {self.name}>"
