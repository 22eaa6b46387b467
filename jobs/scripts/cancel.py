"""Ends an open job without an answer, or forgets one that has ended.

Arguments: id, the state that it has to have (empty for any): in another state nothing is done. Returns the
state that it had, or nothing if there is no such job.
"""

from __future__ import annotations

from typing import Final

from tfleet.jobs.scripts.script import Script

CANCEL: Final = Script(
    "cancel",
    """\
local id = ARGV[1]
local state = state_of(id)
if ARGV[2] ~= '' and state ~= ARGV[2] then return state end
if is_open(state) then
  leave_stream(id)
  settle_open_job(id, 'cancelled', now_ms(), 0)
elseif state then
  forget(id)
end
return state
""",
)
