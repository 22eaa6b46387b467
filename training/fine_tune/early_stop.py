"""When a training ends, and which of its epochs counts. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

PATIENCE: Final = 3
"""So many epochs in a row without a smaller loss on validation end the training."""


@dataclass(slots=True)
class EarlyStop:
    """The epochs so far, from 1 on; the best one, and its loss on validation."""

    epoch: int = 0
    best: int = 0
    loss: float = math.inf

    def add(self, loss: float) -> bool:
        """Count an epoch. Whether it is the best one so far."""
        self.epoch += 1
        if loss >= self.loss:
            return False
        self.best, self.loss = self.epoch, loss
        return True

    @property
    def over(self) -> bool:
        """Whether more epochs are in vain."""
        return self.epoch - self.best >= PATIENCE
