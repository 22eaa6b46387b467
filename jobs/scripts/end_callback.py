"""Notes that a callback was received, or that it was not: then it is sent again, as `take_callbacks` has set.

Arguments: id, 1 if it was received.
"""

from __future__ import annotations

from typing import Final

from tfleet.jobs.scripts.script import Script

END_CALLBACK: Final = Script(
    "end_callback",
    """\
local id, received = ARGV[1], ARGV[2] == '1'
if not received then
  count('callback_failed')
elseif redis.call('ZREM', P .. 'callbacks', id) == 1 then
  count('callback_received')
end
return 1
""",
)
