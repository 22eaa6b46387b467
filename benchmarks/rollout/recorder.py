"""Makes a row of figures from each part of a load."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.rollout.stage import SLACK, Stage
from tests.support.version_load import VersionLoad

_SHOWN = 3


class Recorder:
    """Collects the stages of one scenario. `tell` is called for each with its name."""

    def __init__(self, requests: int, tell: Callable[[str], None]) -> None:
        self.requests = requests
        """How many to send in a stage of the rollout itself."""
        self.half = requests // 2
        """How many to send in any other stage."""
        self.stages: list[Stage] = []
        self._tell = tell
        self._failed: dict[int, int] = {}

    async def stage(
        self,
        name: str,
        load: VersionLoad,
        wanted: Mapping[str, float] | None = None,
        *,
        requests: int | None = None,
        slack: float = SLACK,
    ) -> Stage:
        """Let the load send so many requests, and note what came back.

        A failure since the load's last stage counts, too.
        """
        self._tell(name)
        answers = await load.next(requests or self.half)
        before = self._failed.get(id(load), 0)
        failures = answers.failures[before:]
        self._failed[id(load)] = len(answers.failures)
        sent = answers.versions.total() + len(failures)
        self.stages.append(
            Stage(
                name,
                sent,
                len(failures),
                dict(answers.versions),
                answers.slowest_s * 1000,
                wanted or {},
                slack,
                failures=tuple(failures[:_SHOWN]),
            )
        )
        return self.stages[-1]

    def amend(self, stage: Stage) -> None:
        """Replace the last stage, with what became known after it."""
        self.stages[-1] = stage
