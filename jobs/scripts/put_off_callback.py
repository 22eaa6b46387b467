"""Makes a callback that was taken and not sent due later, and does not count the try.

Arguments: id, ms until then.
"""

from __future__ import annotations

from typing import Final

from tfleet.jobs.scripts.script import Script

PUT_OFF_CALLBACK: Final = Script(
    "put_off_callback",
    """\
local id, ms = ARGV[1], tonumber(ARGV[2])
if state_of(id) and redis.call('ZSCORE', P .. 'callbacks', id) then
  redis.call('ZADD', P .. 'callbacks', now_ms() + ms, id)
  redis.call('HINCRBY', job_key(id), 'callback_tries', -1)
end
return 1
""",
)
