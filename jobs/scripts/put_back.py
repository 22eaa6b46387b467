"""Queues a job again that its worker has not computed. It is behind all others then.

Arguments: id, stream, entry. Returns how often that has happened, 0 if the worker has the job no more.
"""

from __future__ import annotations

from typing import Final

from tfleet.jobs.scripts.script import Script

PUT_BACK: Final = Script(
    "put_back",
    """\
local id, stream, entry = ARGV[1], ARGV[2], ARGV[3]
if redis.call('XACK', P .. stream, GROUP, entry) ~= 1 then return 0 end
redis.call('XDEL', P .. stream, entry)
local found = redis.call('HMGET', job_key(id), 'state', 'entry')
if not is_open(found[1]) or found[2] ~= entry then return 0 end
add_to_stream(id, stream)
count('put_back')
return redis.call('HINCRBY', job_key(id), 'put_back', 1)
""",
)
