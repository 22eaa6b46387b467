"""The messages between `tfleet up` and its fork server, each one datagram of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MAX_BYTES: Final = 64 * 1024
"""No message is longer: a longer command line is not for the fork server."""

_OPTION: Final = "TFLEET_"


@dataclass(frozen=True, slots=True)
class ForkOrder:
    """Fork a process that runs `tfleet` with these arguments. Its output goes to the file that comes with the
    message.

    `ps` shows it as `program` with the arguments. `parent_pid` is the process that the new one shall be a
    child of, and die with. `variables` are those that it has other than the fork server; None is for one that
    it does not have.
    """

    program: tuple[str, ...]
    arguments: tuple[str, ...]
    parent_pid: int
    variables: Mapping[str, str | None]

    def encode(self) -> bytes:
        """The message."""
        return json.dumps([self.program, self.arguments, self.parent_pid, dict(self.variables)]).encode()

    @classmethod
    def decode(cls, message: bytes) -> ForkOrder:
        """The order in a message."""
        program, arguments, parent_pid, variables = json.loads(message)
        return cls(tuple(program), tuple(arguments), parent_pid, variables)


@dataclass(frozen=True, slots=True)
class ForkAnswer:
    """The process id of what was forked, or why nothing is forked. The first one, without either, says that
    the fork server is ready.
    """

    pid: int = 0
    why_not: str = ""

    def encode(self) -> bytes:
        """The message."""
        return json.dumps([self.pid, self.why_not]).encode()

    @classmethod
    def decode(cls, message: bytes) -> ForkAnswer:
        """The answer in a message."""
        pid, why_not = json.loads(message)
        return cls(pid, why_not)


def changed_options(base: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str | None] | None:
    """The variables that make `base` into `wanted`; None if others than options of tfleet differ.

    Libraries read variables such as OMP_NUM_THREADS once, when they are imported: for other ones it takes
    another process.
    """
    changed = {
        name: wanted.get(name) for name in base.keys() | wanted.keys() if base.get(name) != wanted.get(name)
    }
    return changed if all(name.startswith(_OPTION) for name in changed) else None
