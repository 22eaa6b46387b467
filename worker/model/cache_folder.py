"""Where this user's caches are: $XDG_CACHE_HOME/tfleet, or ~/.cache/tfleet."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """The folder for caches of one kind, such as `keras`. It may not exist yet.

    As the XDG base directory specification says, a variable that is empty or no absolute path is ignored.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    # expanduser leaves "~" as it is where a user has no home, as in some containers.
    base = Path(given) if Path(given).is_absolute() else Path("~/.cache").expanduser()
    return base / "tfleet" / kind
