"""The Lua scripts: each changes a job from one state to another, whole or not at all.

Rules:
- KEYS[1] is the prefix of all keys of a service. It holds a hash tag, so that all of them lie in one slot.
- The time is that of Redis: all clients of a shard have one clock.
- Each script may be sent twice, as the client library repeats a command whose connection breaks.
- The totals change in the same script as what they count.
"""
