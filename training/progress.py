"""What a run shows while it goes on: bars on standard error, if that is a terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from tfleet.training.vectors import PassProgress

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class TuningProgress:
    """How far a fine-tuning is: its epoch, from 1 on, and the batches that are done, of `total`."""

    epoch: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class PartsProgress:
    """How far a step is: the parts that are done, of `total` at most. `alike` says that all take as long."""

    done: int
    total: int
    alike: bool = True


class Watcher(Protocol):
    """Is told how far a run is."""

    def step(self, what: str) -> None:
        """The run does this now."""

    def vectors(self, progress: PassProgress) -> None:
        """The pass over the photographs is so far."""

    def tuning(self, progress: TuningProgress) -> None:
        """The fine-tuning is so far."""

    def parts(self, progress: PartsProgress) -> None:
        """The step is so far."""


class ProgressBars:
    """A bar for the step that is done now."""

    def __init__(self, clock: Callable[[], float], *, shown: bool) -> None:
        self._clock = clock
        self._began_s = 0.0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[said]}"),
            console=Console(stderr=True, highlight=False),
            transient=True,
            disable=not shown,
        )
        self._task: Any = None

    def __repr__(self) -> str:
        return f"<ProgressBars began_s={self._began_s}>"

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def step(self, what: str) -> None:
        """See `Watcher`."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._began_s = self._clock()
        self._task = self._progress.add_task(what, total=None, said="")

    def vectors(self, progress: PassProgress) -> None:
        """See `Watcher`."""
        said = pass_text(progress, self._clock() - self._began_s)
        self._progress.update(self._task, total=progress.total, completed=progress.done, said=said)

    def tuning(self, progress: TuningProgress) -> None:
        """See `Watcher`."""
        said = tuning_text(progress, self._clock() - self._began_s)
        self._progress.update(self._task, total=progress.total, completed=progress.done, said=said)

    def parts(self, progress: PartsProgress) -> None:
        """See `Watcher`."""
        said = parts_text(progress, self._clock() - self._began_s)
        self._progress.update(self._task, total=progress.total, completed=progress.done, said=said)


def pass_text(progress: PassProgress, seconds: float) -> str:
    """Such as `1,200 of 3,670 photographs, 85/s, 0:29 left`.

    The time that is left follows from the pace so far.
    """
    text = f"{progress.done:,} of {progress.total:,} photographs"
    if seconds <= 0 or not progress.done:
        return text
    pace = progress.done / seconds
    return f"{text}, {pace:,.0f}/s, {clock_text((progress.total - progress.done) / pace)} left"


def tuning_text(progress: TuningProgress, seconds: float) -> str:
    """Such as `epoch 3, 0:29 left`."""
    left = seconds / progress.done * (progress.total - progress.done)
    return f"epoch {progress.epoch}, {clock_text(left)} left"


def parts_text(progress: PartsProgress, seconds: float) -> str:
    """Such as `2 of 5, 0:29 left`, without the time where it can't be known."""
    text = f"{progress.done:,} of {progress.total:,}"
    if not progress.alike:
        return f"{text} at most"
    if not progress.done:
        return text
    return f"{text}, {clock_text(seconds / progress.done * (progress.total - progress.done))} left"


def clock_text(seconds: float) -> str:
    """Such as `0:07` and `1:02:03`."""
    whole = round(seconds)
    minutes = f"{whole % _HOUR_S // _MINUTE_S}:{whole % _MINUTE_S:02d}"
    return minutes if whole < _HOUR_S else f"{whole // _HOUR_S}:{minutes.zfill(5)}"
