"""The work of `tfleet classify`: many files, their outcomes in order, and a count of both kinds."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfleet.client.errors import BadImageError, FleetUnavailableError
from tfleet.client.pull import pulled
from tfleet.client.render import count
from tfleet.client.result import Outcome
from tfleet.client.sources import Unusable
from tfleet.client.window import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tfleet.client.async_client import AsyncFleetClient


@dataclass(slots=True)
class Tally:
    """How many files were classified, how many not, and how many of these because nothing answered."""

    classified: int = 0
    failed: int = 0
    unreachable: int = 0

    def __str__(self) -> str:
        files = count(self.classified + self.failed, "file")
        return f"{files}: {self.classified} classified, {self.failed} failed"

    def add(self, outcome: Outcome[str]) -> None:
        """Count one outcome."""
        if outcome.error is None:
            self.classified += 1
        else:
            self.failed += 1
            self.unreachable += isinstance(outcome.error, FleetUnavailableError)


async def run(
    client: AsyncFleetClient,
    items: Iterator[str | Unusable],
    *,
    concurrency: int,
    show: Callable[[Outcome[str]], None],
) -> Tally:
    """Classify all the files, `concurrency` at a time, and show each outcome, in the order of the items."""

    async def do(item: str | Unusable) -> Outcome[str]:
        if isinstance(item, Unusable):
            return Outcome(item.name, error=BadImageError(item.reason))
        return await client.outcome(item)

    tally = Tally()
    async with client, aclosing(in_order(pulled(items), do, concurrency=concurrency)) as outcomes:
        async for outcome in outcomes:
            tally.add(outcome)
            show(outcome)
    return tally
