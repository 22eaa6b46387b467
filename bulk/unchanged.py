"""Whether the files of a run are still those of which the manifest has digests.

Each part is checked when it is scored and before it is written: so no part has rows of a file that was
replaced, or that grew, on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from tfleet.bulk.errors import CannotScoreError, InputChangedError, RunFailedError
from tfleet.bulk.sources.storage import said

if TYPE_CHECKING:
    from tfleet.bulk.sources.files import InputFile
    from tfleet.bulk.sources.source import InputPlace


class UnchangedInputs:
    """The files of each source, as they are when this is made. Raises CannotScoreError for one that is gone.

    Images behind URLs are left out: to ask for each of thousands again takes as long as to score them.
    """

    def __init__(self, groups: Sequence[tuple[str, Sequence[InputFile]]]) -> None:
        self._files = [
            [None if form == "image" and file.is_url else file for file in files] for form, files in groups
        ]
        try:
            self._marks = [[None if file is None else file.mark() for file in files] for files in self._files]
        except OSError as error:
            raise CannotScoreError(f"an input cannot be read: {error}") from error

    def __repr__(self) -> str:
        return f"<UnchangedInputs {len(self._files)} sources>"

    def check(self, start: InputPlace, end: InputPlace) -> None:
        """Raise InputChangedError if a file with rows between the places is another one now."""
        for file, mark in self._between(start, end):
            if file is None:
                continue
            try:
                now = file.mark()
            except FileNotFoundError:
                now = None
            except OSError as error:
                raise RunFailedError(f"{file.name}: cannot be read: {said(error)}") from error
            if now != mark:
                raise InputChangedError(f"{file.name}: has changed since the run began")

    def _between(self, start: InputPlace, end: InputPlace) -> Iterator[tuple[InputFile | None, str | None]]:
        for number in range(start.file, end.file + 1):
            found = list(zip(self._files[number], self._marks[number], strict=True))
            if len(found) == 1:
                yield from found
                continue
            # Images: each row of the source is a file.
            first = start.row if number == start.file else 0
            last = end.row if number == end.file else len(found)
            yield from islice(found, first, last)
