"""What the model can do in one process without a network: what all other figures are held against."""

from __future__ import annotations

import time

from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.model import Classifier, find_model

_BATCHES = (1, 4, 8, 16)


def ceiling(image: bytes, *, images: int) -> dict[int, float]:
    """Images a second from JPEG bytes to the best five labels, one caller, by the size of the batch."""
    classifier = Classifier.load(find_model(None))
    classifier.warm_up()
    limits = ImageLimits()
    rates = {}
    for batch in _BATCHES:
        _classify(classifier, image, limits, batch)  # TensorFlow plans each shape once
        rounds = max(1, images // batch)
        began_s = time.perf_counter()
        for _ in range(rounds):
            _classify(classifier, image, limits, batch)
        rates[batch] = rounds * batch / (time.perf_counter() - began_s)
    classifier.close()
    return rates


def _classify(classifier: Classifier, image: bytes, limits: ImageLimits, batch: int) -> None:
    prepared = [classifier.prepare(image, limits) for _ in range(batch)]
    for row in classifier.run(prepared):
        classifier.top(row, 5)
