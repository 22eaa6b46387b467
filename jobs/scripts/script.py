"""A script: its text behind what all of them share."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

GROUP: Final = "workers"
"""The consumer group of each stream."""

# settle_open_job ends an open job, whose body nobody needs any more. A dead job keeps its body: it may be
# queued again.
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

local function leave_stream(id)
  local found = redis.call('HMGET', job_key(id), 'stream', 'entry')
  if not found[1] then return end
  redis.call('XACK', P .. found[1], GROUP, found[2])
  redis.call('XDEL', P .. found[1], found[2])
end

local function add_to_stream(id, stream)
  if redis.call('EXISTS', P .. stream) == 0 then
    redis.call('XGROUP', 'CREATE', P .. stream, GROUP, '0', 'MKSTREAM')
    redis.call('SADD', P .. 'streams', stream)
  end
  local entry = redis.call('XADD', P .. stream, '*', 'id', id)
  redis.call('HSET', job_key(id), 'state', 'queued', 'stream', stream, 'entry', entry)
end

local function set_bytes(id, bytes)
  local before = tonumber(redis.call('HGET', job_key(id), 'bytes') or 0)
  redis.call('HSET', job_key(id), 'bytes', bytes)
  redis.call('HINCRBY', P .. 'totals', 'bytes', bytes - before)
end

local function close_job(id, state, now)
  redis.call('ZREM', P .. 'open', id)
  redis.call('HINCRBY', P .. 'totals', 'jobs', -1)
  redis.call('HSET', job_key(id), 'state', state, 'settled_ms', now)
  if redis.call('HGET', job_key(id), 'callback') then
    redis.call('ZADD', P .. 'callbacks', now, id)
  end
  redis.call('PUBLISH', P .. 'settled', id)
end

local function settle_open_job(id, state, now, answer_bytes)
  local keep_ms = tonumber(redis.call('HGET', job_key(id), 'keep_ms'))
  redis.call('HDEL', job_key(id), 'body', 'headers')
  set_bytes(id, OVERHEAD + answer_bytes)
  redis.call('ZADD', P .. 'settled', now + keep_ms, id)
  close_job(id, state, now)
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

local function state_of(id)
  return redis.call('HGET', job_key(id), 'state')
end

local function is_open(state)
  return state == 'queued' or state == 'running'
end

local function expire_some(now, most)
  local handled = 0
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'open', '-inf', now, 'LIMIT', 0, most)) do
    leave_stream(id)
    settle_open_job(id, 'expired', now, 0)
    handled = handled + 1
  end
  for _, set in ipairs({'settled', 'dead'}) do
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. set, '-inf', now, 'LIMIT', 0, most)) do
      forget(id)
      redis.call('ZREM', P .. set, id)
      handled = handled + 1
    end
  end
  return handled
end
"""


@dataclass(frozen=True, slots=True)
class Script:
    """One script. `body` uses the functions above; `sha` is the name that Redis knows it by."""

    name: str
    body: str
    text: str = field(init=False)
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        text = _COMMON + self.body
        object.__setattr__(self, "text", text)
        digest = hashlib.sha1(text.encode(), usedforsecurity=False)  # as EVALSHA wants it
        object.__setattr__(self, "sha", digest.hexdigest())

    def __repr__(self) -> str:
        return f"<Script {self.name}>"
