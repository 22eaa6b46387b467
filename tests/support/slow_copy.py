"""A folder that is copied slowly, as over a network."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tfleet.deploy.local.repository.watcher import POLL_S

_PIECES: Final = 4
_PAUSE_S: Final = 0.2


def copied_too_early(source: Path, target: Path, is_taken: Callable[[], bool]) -> bool:
    """Copy files piece by piece over more than two polls. Whether the copy was taken before its last piece.

    It may be taken where the copy did not change for as long as two polls are apart, as on a busy machine.
    """
    pieces = _pieces(source)
    longest_s, changed_s, taken = 0.0, time.monotonic(), False
    for path, piece in pieces:
        time.sleep(_PAUSE_S)  # copying takes its time: that is what is tested
        taken = is_taken()
        copy = target / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        before_s = time.monotonic()
        with copy.open("ab", buffering=0) as out:
            out.write(piece)
        longest_s, changed_s = max(longest_s, time.monotonic() - changed_s), before_s
    return taken and longest_s < POLL_S


def _pieces(source: Path) -> list[tuple[Path, bytes]]:
    """The files in pieces, in their order."""
    pieces = []
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        content = file.read_bytes()
        size = len(content) // _PIECES + 1
        pieces += [
            (file.relative_to(source), content[start : start + size])
            for start in range(0, max(len(content), 1), size)
        ]
    return pieces
