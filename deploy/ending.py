"""How a child ended."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from tfleet.deploy.refusal import UNUSABLE


@dataclass(frozen=True, slots=True)
class Ending:
    """`returncode` as the standard library has it: an exit code, or minus the signal that killed it."""

    returncode: int

    @property
    def hopeless(self) -> bool:
        """Whether the next start would end the same way: an option or a model that cannot be used."""
        return self.returncode == UNUSABLE

    def __str__(self) -> str:
        if self.returncode >= 0:
            return f"exit code {self.returncode}"
        try:
            return signal.Signals(-self.returncode).name
        except ValueError:  # real-time signals have no name
            return f"signal {-self.returncode}"
