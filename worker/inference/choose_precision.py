"""Load the classifier in float32 or bfloat16, after comparing both on sample images; see precision.py.

The sample images are those in the folder `samples/` beside the model's labels, or beside the graph where
there is no model folder; where there are none, four photographs of this package.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from tfleet.worker.image.errors import ImageError
from tfleet.worker.image.formats import SUPPORTED, sniff
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference.precision import (
    PrecisionChoice,
    accuracy_obstacle,
    agreement,
    fall_back_to_float32,
)
from tfleet.worker.model.errors import ModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tfleet.worker.inference.classifier import Classifier, Probabilities
    from tfleet.worker.inference.precision import Precision, Tuning
    from tfleet.worker.model.spec import ModelSpec

SAMPLES_FOLDER: Final = "samples"
# Each costs a run in either precision, at every start.
MAX_SAMPLES: Final = 16
BUILT_IN_SAMPLES: Final = Path(__file__).parent / SAMPLES_FOLDER


class SampleError(ModelError):
    """A sample image cannot be used. The message is one line that names it."""


def sample_images(spec: ModelSpec) -> Mapping[str, bytes]:
    """At most 16 sample images, the first by file name. Raises `SampleError` if a file cannot be read."""
    return _pictures(spec.folder / SAMPLES_FOLDER) or _pictures(BUILT_IN_SAMPLES)


def _pictures(folder: Path) -> dict[str, bytes]:
    pictures: dict[str, bytes] = {}
    for path in sorted(folder.glob("[!.]*")):
        if len(pictures) == MAX_SAMPLES:
            break
        if path.is_file() and sniff(content := _read(path)) in SUPPORTED:
            pictures[path.name] = content
    return pictures


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SampleError(f"{path}: cannot be read: {error.strerror}") from error


def load_in_best_precision(
    spec: ModelSpec, tuning: Tuning, obstacle: str, load: Callable[[Precision], Classifier]
) -> tuple[Classifier, PrecisionChoice]:
    """Load the classifier, and say which precision was chosen and why.

    `obstacle` is a reason against bfloat16 that is known beforehand, or empty. `load` returns a new
    classifier; of two that are compared, the one that is not chosen is closed. Raises `ModelError`.
    """
    if tuning.precision == "float32":
        return load("float32"), PrecisionChoice("float32", "requested")
    if obstacle:
        choice = fall_back_to_float32(tuning.precision, obstacle)
        return load("float32"), choice
    # Both are in memory for the comparison: the answers in float32 are needed to judge those in bfloat16.
    reference = load("float32")
    try:
        lower, choice = _compared(spec, reference, tuning, load)
    except BaseException:
        reference.close()
        raise
    if lower is None:
        return reference, choice
    reference.close()
    return lower, choice


def _compared(
    spec: ModelSpec, reference: Classifier, tuning: Tuning, load: Callable[[Precision], Classifier]
) -> tuple[Classifier | None, PrecisionChoice]:
    try:
        samples = sample_images(spec)
        before = _answers(reference, samples)
    except SampleError as error:
        return None, fall_back_to_float32(tuning.precision, str(error))
    if not reference.scores.probabilities:
        # The tolerance is one of probabilities. Other numbers may be of any size.
        return None, fall_back_to_float32(tuning.precision, "the model's outputs are not probabilities")
    return _lower(samples, before, tuning, load)


def _lower(
    samples: Mapping[str, bytes],
    before: Mapping[str, Probabilities],
    tuning: Tuning,
    load: Callable[[Precision], Classifier],
) -> tuple[Classifier | None, PrecisionChoice]:
    """The classifier in bfloat16; None where its answers differ too much or it fails."""
    try:
        lower = load("bfloat16")
    except ModelError as error:
        return None, fall_back_to_float32(tuning.precision, f"bfloat16 fails: {error}")
    good = False
    try:
        try:
            after = _answers(lower, samples)
            obstacle = accuracy_obstacle(before, after, lower.spec.labels, tuning.tolerance)
        except Exception as error:  # of any kind: float32 has just worked, so bfloat16 is the cause
            obstacle = f"bfloat16 fails: {first_line(error)}"
        if obstacle:
            return None, fall_back_to_float32(tuning.precision, obstacle)
        good = True
        return lower, PrecisionChoice("bfloat16", agreement(before, after))
    finally:
        if not good:
            lower.close()


def _answers(classifier: Classifier, images: Mapping[str, bytes]) -> dict[str, Probabilities]:
    """A row of probabilities for each image, each run alone."""
    classifier.warm_up()
    answers = {}
    for name, image in images.items():
        try:
            prepared = classifier.prepare(image, ImageLimits())
            answers[name] = classifier.run([prepared])[0]
        except ImageError as error:
            raise SampleError(f"the sample image {name} of {classifier.spec.origin}: {error}") from error
    return answers
