"""Where the embedded registry saves its keys and values: `--registry-data-dir`, or a default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

IN_MEMORY: Final = "memory"
"""What `--registry-data-dir` says for no folder."""


def data_folder(chosen: str | None, port: int) -> Path | None:
    """The folder, which may not exist yet; None if keys and values are in memory only.

    `chosen` is the option, `port` the registry's. Two registries of a user have two ports, so they have two
    folders. One on any free port (0) would not find its folder again, and a user without a home has none. As
    the XDG base directory specification says, a variable that is empty or no absolute path is ignored.
    """
    if chosen:
        return None if chosen == IN_MEMORY else Path(chosen)
    if not port:
        return None
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not base.is_absolute():
        try:
            home = Path.home()
        except RuntimeError:  # HOME is not set, and the system's list of users lacks this one
            return None
        if not home.is_dir():
            return None
        base = home / ".local" / "state"
    return base / "tfleet" / f"registry-{port}"
