from __future__ import annotations

from typing import TYPE_CHECKING

from tfleet.client import AsyncFleetClient, Outcome
from tfleet.client.commands.classify import OutcomeCount, run
from tfleet.client.images.files import Unusable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.client.conftest import ScriptedFleet


async def test_outcomes_are_shown_in_order_and_counted(fleet: ScriptedFleet, photo: Path) -> None:
    shown: list[Outcome[str]] = []
    items: Iterator[str | Unusable] = iter(
        [str(photo), Unusable("folder", "no images"), "missing.jpg", str(photo)]
    )
    client = AsyncFleetClient(fleet.server().url)
    tally = await run(client, items, concurrency=4, show=shown.append)
    assert [outcome.source for outcome in shown] == [str(photo), "folder", "missing.jpg", str(photo)]
    assert [str(outcome.error) for outcome in shown[1:3]] == ["no images", "no such file or directory"]
    assert tally == OutcomeCount(classified=2, failed=2)
    assert str(tally) == "4 files: 2 classified, 2 failed"


async def test_files_that_nothing_answered_for_are_counted_apart(nobody: str, photo: Path) -> None:
    tally = await run(AsyncFleetClient(nobody), iter([str(photo)]), concurrency=1, show=lambda _outcome: None)
    assert tally == OutcomeCount(failed=1, unreachable=1)
