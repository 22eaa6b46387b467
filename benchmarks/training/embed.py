"""Vectors of a folder of classes, by the code of `tfleet retrain`, kept in a cache."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.training.heads import Task
from tfleet.training.decoding import PhotoDecoder
from tfleet.training.local_embedder import LocalEmbedder, find_backbone, load_embedder
from tfleet.training.material import Material, SplitPlan, training_material
from tfleet.training.photos import find_photos
from tfleet.training.splits import Shares
from tfleet.training.vector_cache import VectorCache
from tfleet.training.vectors import embed_photos

SHARES: Final = Shares(0.1, 0.2)


@dataclass(frozen=True, slots=True)
class Embedded:
    """Photographs with their vectors, how many vectors were made, and in how many seconds."""

    material: Material
    made: int
    seconds: float

    def task(self) -> Task:
        """What heads are trained for."""
        found = self.material
        return Task(found.vectors.astype(np.float32), found.columns, len(found.classes), found.splits)


@contextmanager
def backbone() -> Iterator[LocalEmbedder]:
    """The model that comes with tfleet, loaded."""
    with closing(PhotoDecoder()) as decoder:
        with closing(load_embedder(find_backbone(None), decoder, None)) as embedder:
            yield embedder


def embed(embedder: LocalEmbedder, root: Path, cache: Path) -> Embedded:
    """The vectors of the photographs below a folder. What is in the cache costs nothing."""
    found = find_photos(root)
    with closing(VectorCache(cache, embedder.key, embedder.dimensions)) as vectors:
        began_s = time.perf_counter()
        embedded = embed_photos(found, embedder, vectors, lambda _: None)
        seconds = time.perf_counter() - began_s
    return Embedded(training_material(root, embedded, SplitPlan(SHARES, None)), embedded.made, seconds)
