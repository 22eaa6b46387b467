"""What one process of a run is told: JSON, the only argument of `rank_main.py`. And its exit codes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

LOST_PEER: Final = 75
"""The exit code of a process that ended because another one had."""

SAVED: Final = "saved"
WRITING: Final = "writing"
"""Names in the folder of a run, see RankJob."""

HEARTBEAT_TIMEOUT_S: Final = 10
"""A process that was not heard of for so long is dead, and the others end."""


@dataclass(frozen=True, slots=True)
class RankJob:
    """Run the script and its arguments, `argv`, as process `rank` of `processes`, which count from 0.

    `coordinator` is HOST:PORT of process 0, which listens there; `host` is this process's own address. Both
    are not used where there is one process. The folder `work` is this run's own. No process but 0 saves
    anything.
    """

    argv: tuple[str, ...]
    rank: int
    processes: int
    coordinator: str
    host: str
    work: str
    seed: int
    join_timeout_s: float

    @property
    def script(self) -> str:
        """The file to run."""
        return self.argv[0]

    @property
    def saved(self) -> Path:
        """A folder with a copy of the file that the script saved its model to last."""
        return Path(self.work, SAVED)

    @property
    def writing(self) -> Path:
        """A file with the name of the file that is just being written: what a killed process leaves."""
        return Path(self.work, WRITING)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RankJob:
        values = json.loads(text)
        return cls(**{**values, "argv": tuple(values["argv"])})
