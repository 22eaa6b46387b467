"""What a decoder is told when it is started, on its command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class DecoderSettings:
    """`socket` and `lifeline` are descriptors that it inherits: jobs come on the one; the other only ends,
    with the worker.
    """

    socket: int
    lifeline: int
    address_space_bytes: int
    nice: int

    def arguments(self) -> list[str]:
        """As they stand on the command line."""
        return [f"{name}={value}" for name, value in asdict(self).items()]

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> DecoderSettings:
        """The opposite. Raises ValueError and TypeError for anything else."""
        return cls(**{name: int(value) for name, value in (text.split("=") for text in arguments)})
