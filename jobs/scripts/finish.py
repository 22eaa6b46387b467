"""Stores a worker's answer, if the job has none yet. The first to call this wins.

Arguments: id, stream, entry, status, headers, body. Returns 1 if this is the job's answer.
"""

from __future__ import annotations

from typing import Final

from tfleet.jobs.scripts.script import Script

FINISH: Final = Script(
    "finish",
    """\
local id, stream, entry, status, headers, body = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
if redis.call('XACK', P .. stream, GROUP, entry) ~= 1 then return 0 end
redis.call('XDEL', P .. stream, entry)
local found = redis.call('HMGET', job_key(id), 'state', 'entry')
if not is_open(found[1]) or found[2] ~= entry then return 0 end
redis.call('HSET', job_key(id), 'status', status, 'answer_headers', headers, 'answer', body)
settle_open_job(id, 'done', now_ms(), #body)
return 1
""",
)
