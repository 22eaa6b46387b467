"""Vectors of photographs that earlier runs have made, in a file for each model and its preprocessing.

The file is a header and then records of one size: the SHA-256 of a photograph's content, its vector in
float16, and a checksum of both. Records are only appended, one write at a time, so what a run has made until
it ends in any way stays. A record that is damaged or cut off is left out and counted, and its photograph is
made a vector again; in the place of a damaged one comes one of a digest that no photograph has.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from tfleet.training.errors import CannotRetrainError, RetrainFailedError

Vector = npt.NDArray[np.float16]
DIGEST_BYTES: Final = 32
_NO_PHOTO: Final = bytes(DIGEST_BYTES)
_CRC_BYTES: Final = 4
_HEADER_BYTES: Final = 256
_READ_RECORDS: Final = 1024


class VectorCache:
    """The vectors of one model: float16[dimensions] by the content's digest.

    `key` names the model and the preprocessing, in characters of file names. Several processes may use one
    file. `damaged` is the number of records that were left out when the file was read.
    """

    def __init__(self, folder: Path, key: str, dimensions: int) -> None:
        self.path = folder / f"{key}.vectors"
        self.damaged = 0
        self._key = key
        self._dimensions = dimensions
        self._record_bytes = DIGEST_BYTES + 2 * dimensions + _CRC_BYTES
        self._places: dict[bytes, int] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CannotRetrainError(
                f"{self.path}: the vectors cannot be kept there: {error.strerror}; give another folder with "
                "--cache"
            ) from error
        try:
            with _locked(self._file):
                self._read()
        except OSError as error:
            os.close(self._file)
            raise _failed(self.path, error) from error

    def __repr__(self) -> str:
        return f"<VectorCache {self.path.name} vectors={len(self._places)} damaged={self.damaged}>"

    def __len__(self) -> int:
        return len(self._places)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def get(self, digest: bytes) -> Vector | None:
        """The vector of the photograph with this SHA-256, if there is one. From any thread."""
        place = self._places.get(digest)
        if place is None:
            return None
        record = os.pread(self._file, self._record_bytes, place)
        return _vector(record) if record.startswith(digest) and _is_whole(record) else None

    def add(self, vectors: Mapping[bytes, Vector]) -> None:
        """Write new vectors. Raises RetrainFailedError, such as for a full disk."""
        checked = [digest + vector.tobytes() for digest, vector in vectors.items()]
        records = b"".join(each + zlib.crc32(each).to_bytes(_CRC_BYTES) for each in checked)
        try:
            with _locked(self._file):
                size = os.fstat(self._file).st_size
                try:
                    _write(self._file, records)
                except OSError:
                    os.ftruncate(self._file, size)  # half a record would shift all that come after it
                    raise
        except OSError as error:
            raise _failed(self.path, error) from error
        self._places.update(zip(vectors, range(size, size + len(records), self._record_bytes), strict=True))

    def close(self) -> None:
        """Close the file. A second call has no effect."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _header(self) -> bytes:
        said = {"tfleet": "vectors 1", "key": self._key, "dimensions": self._dimensions}
        return json.dumps(said).encode().ljust(_HEADER_BYTES - 1) + b"\n"

    def _read(self) -> None:
        """Read all whole records, empty the damaged ones, and cut off what lies behind the last one."""
        size = os.fstat(self._file).st_size
        header = self._header()
        if os.pread(self._file, _HEADER_BYTES, 0) != header:
            # Nothing of such a file can be trusted, not even where its records begin.
            self.damaged = max(size - _HEADER_BYTES, 0) // self._record_bytes
            os.ftruncate(self._file, 0)
            _write(self._file, header)
            return
        whole, rest = divmod(size - _HEADER_BYTES, self._record_bytes)
        bad: list[int] = []
        for start in range(0, whole, _READ_RECORDS):
            count = min(_READ_RECORDS, whole - start)
            content = os.pread(
                self._file, count * self._record_bytes, _HEADER_BYTES + start * self._record_bytes
            )
            for at in range(0, len(content), self._record_bytes):
                record = content[at : at + self._record_bytes]
                place = _HEADER_BYTES + start * self._record_bytes + at
                if len(record) < self._record_bytes or not _is_whole(record):
                    bad.append(place)
                elif not record.startswith(_NO_PHOTO):
                    self._places[record[:DIGEST_BYTES]] = place
        self._empty(bad)
        self.damaged = len(bad)
        if rest:
            self.damaged += 1
            os.ftruncate(self._file, size - rest)

    def _empty(self, places: Sequence[int]) -> None:
        """Write records of no photograph over damaged ones, which each run would count again."""
        if not places:
            return
        nothing = _NO_PHOTO + bytes(2 * self._dimensions)
        record = nothing + zlib.crc32(nothing).to_bytes(_CRC_BYTES)
        file = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)  # the other one can only append
        try:
            for place in places:
                os.pwrite(file, record, place)
        finally:
            os.close(file)


def _is_whole(record: bytes) -> bool:
    return zlib.crc32(record[:-_CRC_BYTES]) == int.from_bytes(record[-_CRC_BYTES:])


def _vector(record: bytes) -> Vector:
    return np.frombuffer(record[DIGEST_BYTES:-_CRC_BYTES], dtype=np.float16)


def _write(file: int, content: bytes | bytearray) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]


@contextmanager
def _locked(file: int) -> Iterator[None]:
    """Hold the file alone: nobody may cut off what another one is just writing."""
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _failed(path: Path, error: OSError) -> RetrainFailedError:
    return RetrainFailedError(f"{path}: the vectors cannot be kept there: {error.strerror}")
