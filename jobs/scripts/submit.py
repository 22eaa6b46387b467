"""Stores a job and adds it to its stream, unless the shard is full or has the job already.

Arguments: id, model, version, stream, timeout in ms, ms to keep the answer, target, headers, body,
SHA-256 of the request, Idempotency-Key (its SHA-256, or empty), callback, largest number of open jobs,
largest number of bytes. Returns what came of it, with the id where it has one: `accepted`, `same` (the key
stands for this request), `differs` (it stands for another one), `full` with the totals.
"""

from __future__ import annotations

from typing import Final

from tfleet.jobs.scripts.script import Script

SUBMIT: Final = Script(
    "submit",
    """\
local id, model, version, stream, timeout_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local keep_ms, target, headers, body, digest = ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local key, callback, max_jobs, max_bytes = ARGV[11], ARGV[12], ARGV[13], ARGV[14]
local now = now_ms()
-- The command may come a second time, when the connection broke before its answer.
if state_of(id) then return {'accepted', id} end
if key ~= '' then
  local known = redis.call('GET', P .. 'key:' .. key)
  if known then
    local same = redis.call('HGET', job_key(known), 'digest') == digest
    return {same and 'same' or 'differs', known}
  end
end
expire_some(now, 10)
local totals = redis.call('HMGET', P .. 'totals', 'jobs', 'bytes')
local jobs, bytes = tonumber(totals[1] or 0), tonumber(totals[2] or 0)
local own = #body + OVERHEAD
if jobs >= tonumber(max_jobs) or bytes + own > tonumber(max_bytes) then
  count('full')
  return {'full', '', jobs, bytes}
end
local deadline = now + tonumber(timeout_ms)
redis.call('HSET', job_key(id), 'model', model, 'version', version, 'submitted_ms', now,
  'deadline_ms', deadline, 'keep_ms', keep_ms, 'target', target, 'headers', headers, 'body', body,
  'body_bytes', #body, 'digest', digest)
if key ~= '' then
  redis.call('HSET', job_key(id), 'key', key)
  redis.call('SET', P .. 'key:' .. key, id)
end
if callback ~= '' then redis.call('HSET', job_key(id), 'callback', callback) end
set_bytes(id, own)
redis.call('HINCRBY', P .. 'totals', 'jobs', 1)
redis.call('ZADD', P .. 'open', deadline, id)
add_to_stream(id, stream)
count('accepted')
return {'accepted', id}
""",
    needs_room=True,
)
