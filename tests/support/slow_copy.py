"""A folder that is copied slowly, as over a network."""

import time
from pathlib import Path

_PIECES = 4
_PAUSE_S = 0.2


def copy_slowly(source: Path, target: Path) -> float:
    """Copy files piece by piece over more than two polls; the longest time without a change in seconds."""
    longest_s, last_s = 0.0, time.monotonic()
    target.mkdir()
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        content = file.read_bytes()
        size = len(content) // _PIECES + 1
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with copy.open("wb", buffering=0) as out:
            for start in range(0, len(content), size):
                time.sleep(_PAUSE_S)  # copying takes its time: that is what is tested
                out.write(content[start : start + size])
                now_s = time.monotonic()
                longest_s, last_s = max(longest_s, now_s - last_s), now_s
    return longest_s
