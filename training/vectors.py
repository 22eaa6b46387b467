"""One pass over the photographs: each becomes a vector, from the cache or by an embedder.

Threads read, look up, decode and run; the thread that asks takes their results in order, and keeps new
vectors before it goes on. So Ctrl-C loses only what is in work.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from tfleet.training.photos import FoundPhotos, PhotoFile
from tfleet.training.results import PassedOver

if TYPE_CHECKING:
    from tfleet.training.vector_cache import Vector, VectorCache

_AHEAD: Final = 3
"""Pieces of work for each thread: enough that none waits, few enough that little is lost at Ctrl-C."""


class Embedder(Protocol):
    """Makes vectors of photographs, from up to `concurrency` threads at a time."""

    @property
    def key(self) -> str:
        """What the vectors depend on besides the photograph: the digest of model and preprocessing."""

    @property
    def dimensions(self) -> int:
        """The numbers of a vector."""

    @property
    def concurrency(self) -> int:
        """How many threads may call `embed` at a time, so that it is busy."""

    @property
    def most_photos(self) -> int:
        """How many photographs a call takes at most."""

    def embed(self, photos: Sequence[bytes]) -> list[npt.NDArray[Any] | str]:
        """For each photograph float32[dimensions], or in one line why it has none.

        Raises RetrainFailedError where the run has to end.
        """

    def close(self) -> None:
        """Give back what it holds. Calls of `embed` that wait for somebody else end soon, by any error."""


@dataclass(frozen=True, slots=True)
class EmbeddedPhoto:
    """A photograph with its vector, and the SHA-256 of its content in hexadecimal digits."""

    file: PhotoFile
    digest: str
    bytes: int
    vector: Vector


@dataclass(frozen=True, slots=True)
class PassProgress:
    """How far a pass is: files that are done, and how many vectors of them were made anew."""

    done: int
    total: int
    made: int


@dataclass(frozen=True, slots=True)
class EmbeddedPhotos:
    """The result of a pass. `made` is the number of new vectors; the others were in the cache."""

    photos: tuple[EmbeddedPhoto, ...]
    passed_over: tuple[PassedOver, ...]
    made: int


@dataclass(frozen=True, slots=True)
class _Read:
    """A file's content's digest, with its vector (one of the cache in `known`), or the reason without one."""

    file: PhotoFile
    digest: bytes = b""
    size: int = 0
    vector: Vector | None = None
    known: bool = False
    reason: str = ""


def embed_photos(
    found: FoundPhotos, embedder: Embedder, cache: VectorCache, report: Callable[[PassProgress], None]
) -> EmbeddedPhotos:
    """Make a vector of each photograph, and keep the new ones. Raises RetrainFailedError.

    `report` is called from this thread after each piece of work. The embedder is closed if the pass fails.
    """
    photos: list[EmbeddedPhoto] = []
    passed_over: list[PassedOver] = []
    made = 0
    for piece in _pieces(found, embedder, cache):
        new = {each.digest: each.vector for each in piece if each.vector is not None and not each.known}
        if new:
            cache.add(new)
            made += len(new)
        for each in piece:
            if each.vector is None:
                passed_over.append(PassedOver(each.file.name, each.reason))
            else:
                photos.append(EmbeddedPhoto(each.file, each.digest.hex(), each.size, each.vector))
        report(PassProgress(len(photos) + len(passed_over), len(found.files), made))
    return EmbeddedPhotos(tuple(photos), tuple(passed_over), made)


def _pieces(found: FoundPhotos, embedder: Embedder, cache: VectorCache) -> Iterator[list[_Read]]:
    """The files in order, in pieces of what one call of the embedder takes."""
    size = embedder.most_photos
    waiting: deque[Future[list[_Read]]] = deque()
    pool = ThreadPoolExecutor(embedder.concurrency, thread_name_prefix="vectors")
    try:
        for start in range(0, len(found.files), size):
            files = found.files[start : start + size]
            waiting.append(pool.submit(_piece, found, files, embedder, cache))
            if len(waiting) >= _AHEAD * embedder.concurrency:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        embedder.close()  # before the threads are waited for: one may be waiting for a fleet
        raise
    finally:
        pool.shutdown()


def _piece(
    found: FoundPhotos, files: Sequence[PhotoFile], embedder: Embedder, cache: VectorCache
) -> list[_Read]:
    read: list[_Read] = []
    contents: dict[int, bytes] = {}
    for index, file in enumerate(files):
        try:
            content = found.read(file.name)
        except OSError as error:
            read.append(_Read(file, reason=f"cannot be read: {error.strerror or error}"))
            continue
        digest = hashlib.sha256(content).digest()
        vector = cache.get(digest)
        read.append(_Read(file, digest, len(content), vector, known=vector is not None))
        if vector is None:
            contents[index] = content
    if contents:
        for index, made in zip(contents, embedder.embed(list(contents.values())), strict=True):
            file, digest, bytes_read = files[index], read[index].digest, read[index].size
            kept = made if isinstance(made, str) else _kept(made)
            read[index] = (
                _Read(file, digest, bytes_read, reason=kept)
                if isinstance(kept, str)
                else _Read(file, digest, bytes_read, kept)
            )
    return read


def _kept(made: npt.NDArray[Any]) -> Vector | str:
    """The vector as the cache has it, or why no head can learn from it."""
    with np.errstate(over="ignore"):
        vector = made.astype(np.float16)
    if np.isfinite(vector).all():
        return vector
    largest = f"{np.finfo(np.float16).max:,.0f}"
    return f"its vector has numbers beyond {largest}, or none at all: use another --backbone"
