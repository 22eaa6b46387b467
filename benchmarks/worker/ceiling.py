"""The speed of the model in one process without a network, with which all other figures are compared.

The best way depends on the machine, so several are tried: larger batches, the next batch decoded beside the
run of this one, two callers at once, and both. A server that decodes beside its session would beat a ceiling
that does not. Two callers have a session of their own, which lets them run at once.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from benchmarks.worker.batch_strategies import BATCHES, STRATEGIES, Strategy
from benchmarks.worker.batches import per_second
from benchmarks.worker.session import concurrent_session
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference import Classifier
from tfleet.worker.model import find_model

if TYPE_CHECKING:
    from tfleet.worker.inference import PreparedImage

T = TypeVar("T")

_LIMITS = ImageLimits()
PASSES = 3


class Ceiling:
    """The model in its own process, which sleeps while other servers are measured."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def ways(self, image: bytes, seconds: float, tell: Callable[[Strategy], None]) -> dict[Strategy, float]:
        """Images a second of each strategy, the median of some passes."""
        rates: dict[Strategy, list[float]] = {way: [] for way in STRATEGIES}
        for way in [*STRATEGIES] * PASSES:
            tell(way)
            rates[way].append(self.per_second(image, way, seconds))
        return {way: statistics.median(found) for way, found in rates.items()}

    def per_second(self, image: bytes, way: Strategy, seconds: float) -> float:
        """Images a second, from JPEG bytes to the best five labels."""
        return self._pool.submit(_per_second, image, way, seconds).result()

    def single_ms(self, image: bytes, seconds: float) -> float:
        """Milliseconds of a single image, the median of many."""
        return self._pool.submit(_middle_ms, _classify, image, seconds).result()

    def decode_ms(self, image: bytes, seconds: float) -> float:
        """Milliseconds of decoding and preprocessing."""
        return self._pool.submit(_middle_ms, _prepare, image, seconds).result()

    def labels(self, image: bytes) -> list[str]:
        """The labels of the image, the best first."""
        return self._pool.submit(_classify, image).result()


@contextmanager
def ceiling() -> Iterator[Ceiling]:
    """A ceiling whose model is loaded and warm."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=_load) as pool:
        yield Ceiling(pool)


class _Model:
    classifier: Classifier
    concurrent: Classifier


def _load() -> None:
    _Model.classifier = Classifier.load(find_model(None))
    _Model.concurrent = Classifier.load(find_model(None), session_factory=concurrent_session)
    for classifier in (_Model.classifier, _Model.concurrent):
        classifier.warm_up(BATCHES)


def _prepare(image: bytes) -> PreparedImage:
    return _Model.classifier.prepare(image, _LIMITS)


def _classify(image: bytes) -> list[str]:
    row = _Model.classifier.run([_prepare(image)])[0]
    return [label for label, _ in _Model.classifier.top(row, 5)]


def _middle_ms(call: Callable[[bytes], T], image: bytes, seconds: float) -> float:
    times_ms = []
    until_s = time.perf_counter() + seconds
    while (began_s := time.perf_counter()) < until_s:
        call(image)
        times_ms.append((time.perf_counter() - began_s) * 1000)
    return statistics.median(times_ms)


def _per_second(image: bytes, way: Strategy, seconds: float) -> float:
    classifier = _Model.concurrent if way.callers > 1 else _Model.classifier
    with ThreadPoolExecutor(max(1, way.decoders)) as pool:
        source = partial(_ahead, pool) if way.decoders else _alone
        callers = [_caller(classifier, source(image, way.batch)) for _ in range(way.callers)]
        return per_second(callers, seconds)


def _caller(classifier: Classifier, batches: Iterator[list[PreparedImage]]) -> Iterator[int]:
    for batch in batches:
        for row in classifier.run(batch):
            classifier.top(row, 5)
        yield len(batch)


def _alone(image: bytes, batch: int) -> Iterator[list[PreparedImage]]:
    while True:
        yield [_prepare(image) for _ in range(batch)]


def _ahead(pool: ThreadPoolExecutor, image: bytes, batch: int) -> Iterator[list[PreparedImage]]:
    """Run each batch while the next one is decoded."""
    coming: deque[Future[PreparedImage]] = deque(pool.submit(_prepare, image) for _ in range(batch))
    while True:
        coming.extend(pool.submit(_prepare, image) for _ in range(batch))
        yield [coming.popleft().result() for _ in range(batch)]
