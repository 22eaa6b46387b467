"""The output folder: parts as Parquet files that are renamed when they are whole, and the manifest.

A part says in its footer which run it belongs to, which rows it has, and how they went. After a kill the
parts that are there are taken as they are. Names that begin with `_` or `.` are no data to pyarrow, Spark and
others.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from tfleet.bulk.errors import CannotScoreError, RunFailedError
from tfleet.bulk.manifest import MANIFEST, RunPlan, difference
from tfleet.bulk.sources.source import InputPlace
from tfleet.bulk.tally import Tally, tally_of
from tfleet.worker.model.digest import file_digest

_KEY: Final = b"tfleet"


@dataclass(frozen=True, slots=True)
class WrittenPart:
    """A part that is there: its file, its place in the input, and how its rows went."""

    name: str
    bytes: int
    sha256: str
    end: InputPlace
    tally: Tally


def check_kept(schema: pa.Schema, where: str) -> None:
    """Raise CannotScoreError for a column of a type that Parquet has not."""
    for field in schema:
        one = pa.schema([field])
        try:
            pq.write_table(one.empty_table(), pa.BufferOutputStream())
        except pa.ArrowException as error:
            raise CannotScoreError(
                f"{where}: column {field.name!r} is {field.type}, which Parquet has not: "
                "leave it out with --keep"
            ) from error


def _is_unfinished(name: str) -> bool:
    return name.startswith((".part-", f".{MANIFEST}")) and name.endswith(".tmp")


class OutputFolder:
    """The folder of one run. It is locked from `open` to `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def __repr__(self) -> str:
        return f"<OutputFolder {self.path} {'open' if self._lock is not None else 'closed'}>"

    def open(self, plan: RunPlan, *, resume: bool) -> list[WrittenPart]:
        """Begin a run, or go on with it. Returns the parts that are there, which are the first ones.

        Raises CannotScoreError for a folder that has other files, or another run, or is in use.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            return self._opened(plan, resume=resume)
        except OSError as error:
            raise CannotScoreError(f"{self.path}: cannot be written: {error.strerror or error}") from error

    def close(self) -> None:
        """Let others use the folder."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def write(
        self, plan: RunPlan, index: int, table: pa.Table, place: tuple[InputPlace, InputPlace], tally: Tally
    ) -> WrittenPart:
        """Write a part. Raises RunFailedError, for instance for a full disk."""
        start, end = place
        footer = {
            "run": plan.id,
            "part": index,
            "start": asdict(start),
            "end": asdict(end),
            "tally": tally.document(),
        }
        name = f"part-{index:05d}.parquet"
        unfinished = self.path / f".{name}.tmp"
        try:
            with unfinished.open("wb") as file:
                labelled = table.replace_schema_metadata({_KEY: json.dumps(footer).encode()})
                pq.write_table(labelled, file, row_group_size=max(table.num_rows, 1))
                file.flush()
                os.fsync(file.fileno())
            digest, size = file_digest(unfinished), unfinished.stat().st_size
            unfinished.rename(self.path / name)
            self._sync()
        except (OSError, pa.ArrowException) as error:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            raise RunFailedError(f"{self.path / name}: cannot be written: {error}") from error
        return WrittenPart(name, size, digest, end, tally)

    def finish(self, plan: RunPlan, parts: list[WrittenPart], total: Tally) -> None:
        """Write the manifest of a run of which all parts are there. Raises RunFailedError."""
        listed = [
            {
                "name": part.name,
                "bytes": part.bytes,
                "sha256": part.sha256,
                "rows": part.tally.rows,
                "failed": part.tally.failed,
            }
            for part in parts
        ]
        done = {"complete": True, "parts": listed, "summary": total.document()}
        try:
            self._write_manifest(plan.document() | done)
        except OSError as error:
            with contextlib.suppress(OSError):
                (self.path / f".{MANIFEST}.tmp").unlink()
            raise RunFailedError(f"{self.path / MANIFEST}: cannot be written: {error}") from error

    def _opened(self, plan: RunPlan, *, resume: bool) -> list[WrittenPart]:
        there = [path.name for path in self.path.iterdir() if not _is_unfinished(path.name)]
        if not there:
            self._remove_unfinished()
            self._write_manifest(plan.document())
            return []
        if not resume:
            raise CannotScoreError(
                f"{self.path}: is not empty: give --resume to go on with the run that is there, or another "
                "folder"
            )
        manifest = self._manifest()
        if (why := difference(manifest, plan)) is not None:
            raise CannotScoreError(f"{self.path}: has another run: {why}: give another folder")
        self._remove_unfinished()
        written = list(self._written(plan))
        listed = {each["name"]: each["sha256"] for each in manifest.get("parts", ())}
        self._check_listed(listed, written)
        if len(written) < len(listed):
            self._write_manifest(plan.document())  # it is not complete any more
        return written

    def _remove_unfinished(self) -> None:
        """Remove what a run left that was killed."""
        for path in [each for each in self.path.iterdir() if _is_unfinished(each.name)]:
            path.unlink()

    def _written(self, plan: RunPlan) -> Iterator[WrittenPart]:
        for index in range(len(list(self.path.glob("part-*.parquet")))):
            path = self.path / f"part-{index:05d}.parquet"
            try:
                footer = json.loads(pq.read_metadata(path).metadata[_KEY])
                if footer["run"] != plan.id or footer["part"] != index:
                    raise CannotScoreError(f"{path}: belongs to another run: give another folder")
                end, tally = InputPlace(**footer["end"]), tally_of(footer["tally"])
                yield WrittenPart(path.name, path.stat().st_size, file_digest(path), end, tally)
            except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
                raise CannotScoreError(
                    f"{path}: is no part of a run: {error}: give another folder"
                ) from error

    def _check_listed(self, listed: Mapping[str, str], written: list[WrittenPart]) -> None:
        """Raise CannotScoreError for a part that is not the one of which the manifest has the digest."""
        for part in written:
            if listed.get(part.name, part.sha256) != part.sha256:
                raise CannotScoreError(
                    f"{self.path / part.name}: is not what the run wrote, by its digest in {MANIFEST}: "
                    "remove it and all parts after it, and --resume writes them again"
                )

    def _manifest(self) -> Mapping[str, Any]:
        path = self.path / MANIFEST
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CannotScoreError(
                f"{self.path}: has files, and no {MANIFEST}: give another folder"
            ) from None
        except ValueError as error:
            raise CannotScoreError(f"{path}: is no manifest: {error}: give another folder") from error
        return found if isinstance(found, dict) else {}

    def _write_manifest(self, document: Mapping[str, Any]) -> None:
        unfinished = self.path / f".{MANIFEST}.tmp"
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(json.dumps(document, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(self.path / MANIFEST)
        self._sync()

    def _take_lock(self) -> None:
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise
            raise CannotScoreError(
                f"{self.path}: another run writes there: wait for it, or end it"
            ) from error

    def _sync(self) -> None:
        """A name is on the disk when its folder is."""
        assert self._lock is not None, "a folder is open while it is written"
        os.fsync(self._lock)
