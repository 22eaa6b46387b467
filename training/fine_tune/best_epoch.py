"""Which epoch of a training counts. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(slots=True)
class BestEpoch:
    """The epochs so far, from 1 on; the best one, and its loss on validation.

    All planned epochs are trained: the steps get smaller up to the last one, and the last ones are mostly the
    best, so a training that ends at the first epochs without gain would miss them.
    """

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
