"""What a run says: its progress on a terminal, and its summary as a table or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from tfleet.bulk.sources.source import InputPlace
from tfleet.bulk.tally import BINS, Tally
from tfleet.runtime.printable import printable

_BAR_WIDTH: Final = 30
_MOST_LABELS: Final = 20
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class InputSize:
    """How much there is to read: the rows of each file where all are known, else the bytes of each."""

    rows: Sequence[int | None]
    bytes: Sequence[int]
    limit: int | None = None

    def share(self, place: InputPlace, taken: int) -> float:
        """How much of the input lies before a place, from 0 to 1, if `taken` rows have been scored."""
        known = [each for each in self.rows if each is not None]
        if len(known) == len(self.rows):
            sizes, done = known, place.row
        else:
            sizes, done = list(self.bytes), place.offset
        total = sum(sizes)
        of_input = (sum(sizes[: place.file]) + done) / total if total else 1.0
        of_limit = taken / self.limit if self.limit else 0.0
        return min(max(of_input, of_limit), 1.0)


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast it goes. `began_rows` and `began_share` are those of the parts that were there before."""

    began_s: float
    began_rows: int
    began_share: float

    def text(self, now_s: float, rows: int, share: float) -> str:
        """Such as `12,000 rows/s, 1:05 left`."""
        seconds = now_s - self.began_s
        if seconds <= 0 or rows <= self.began_rows:
            return ""
        found = f"{(rows - self.began_rows) / seconds:,.0f} rows/s"
        gained = share - self.began_share
        return f"{found}, {duration(seconds * (1 - share) / gained)} left" if gained > 0 else found


def duration(seconds: float) -> str:
    """Such as `0:07` and `1:02:03`."""
    whole = round(seconds)
    minutes = f"{whole % _HOUR_S // _MINUTE_S}:{whole % _MINUTE_S:02d}"
    return minutes if whole < _HOUR_S else f"{whole // _HOUR_S}:{minutes.zfill(5)}"


class ProgressBar:
    """A bar on standard error, if that is a terminal."""

    def __init__(self, size: InputSize, clock: Callable[[], float], *, shown: bool) -> None:
        self._size = size
        self._clock = clock
        self._speed: Speed | None = None
        self._progress = Progress(
            TextColumn("scoring"),
            BarColumn(),
            TextColumn("{task.percentage:.0f} %"),
            TextColumn("{task.description}"),
            console=Console(stderr=True, highlight=False),
            transient=True,
            disable=not shown,
        )
        self._task = self._progress.add_task("", total=1.0)

    def __repr__(self) -> str:
        return f"<ProgressBar {self._size!r}>"

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, place: InputPlace, total: Tally) -> None:
        """Show that the output is written up to a place."""
        share = self._size.share(place, total.rows)
        if self._speed is None:
            self._speed = Speed(self._clock(), total.rows, share)
        text = f"{total.rows:,} rows, {total.failed:,} failed"
        speed = self._speed.text(self._clock(), total.rows, share)
        self._progress.update(self._task, completed=share, description=f"{text}, {speed}" if speed else text)


def summary_lines(total: Tally, output: str, seconds: float, new_rows: int) -> Iterator[str]:
    """The summary for people."""
    rate = f" ({new_rows / seconds:,.0f} rows/s)" if seconds > 0 and new_rows else ""
    yield f"output      {printable(output)}"
    yield f"rows        {total.rows:,}: {total.scored:,} scored, {total.failed:,} failed"
    yield f"time        {seconds:.1f} s{rate}"
    yield from _table("labels", total.labels)
    yield from _table("errors", total.reasons)
    if sum(total.histogram):
        yield "confidence  rows by the probability of their best label"
        named = {f"{low / BINS:.1f} to {(low + 1) / BINS:.1f}": n for low, n in enumerate(total.histogram)}
        yield from _bars(named.items())


def summary_document(total: Tally, output: str, seconds: float, new_rows: int) -> dict[str, Any]:
    """The summary as JSON has it."""
    rate = round(new_rows / seconds, 1) if seconds > 0 else None
    return {"output": output, **total.document(), "seconds": round(seconds, 2), "rows_per_s": rate}


def _table(heading: str, counts: Mapping[str, int]) -> Iterator[str]:
    if not counts:
        return
    ranked = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    yield f"{heading:<11} {len(ranked):,} different"
    yield from _bars(ranked[:_MOST_LABELS])
    if more := sum(count for _, count in ranked[_MOST_LABELS:]):
        yield f"  {more:>12,} {' ' * _BAR_WIDTH} others"


def _bars(counts: Any) -> Iterator[str]:
    listed = list(counts)
    largest = max((count for _, count in listed), default=0)
    for name, count in listed:
        bar = "█" * round(_BAR_WIDTH * count / max(largest, 1))
        yield f"  {count:>12,} {bar:<{_BAR_WIDTH}} {printable(name)}"
