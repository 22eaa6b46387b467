"""The images that two precisions are compared on: the model's own, else four photographs of this package.

A model's own are the pictures in `samples/` beside its labels, or beside its graph where that stands alone.

Loads the classifier in the precision that is to be used, see precision.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from tfleet.worker.image.errors import ImageError
from tfleet.worker.image.formats import SUPPORTED, sniff
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference.precision import Choice, agreement, answers_obstacle, give_way
from tfleet.worker.model.errors import ModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tfleet.worker.inference.classifier import Classifier, Probabilities
    from tfleet.worker.inference.precision import Precision, Tuning
    from tfleet.worker.model.spec import ModelSpec

FOLDER: Final = "samples"
# Each costs a run in either precision, at every start.
MOST: Final = 16
BUILT_IN: Final = Path(__file__).parent / FOLDER


class SampleError(ModelError):
    """A sample image cannot be used. The message is one line that names it."""


def sample_images(spec: ModelSpec) -> Mapping[str, bytes]:
    """The first 16 pictures by their names. Raises `SampleError` where one cannot be read."""
    return _pictures(_home(spec) / FOLDER) or _pictures(BUILT_IN)


def _home(spec: ModelSpec) -> Path:
    if spec.described_by is not None:
        return spec.described_by.parent
    return spec.path if spec.path.is_dir() else spec.path.parent


def _pictures(folder: Path) -> dict[str, bytes]:
    pictures: dict[str, bytes] = {}
    for path in sorted(folder.glob("[!.]*")):
        if len(pictures) == MOST:
            break
        if path.is_file() and sniff(content := _read(path)) in SUPPORTED:
            pictures[path.name] = content
    return pictures


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SampleError(f"{path}: cannot be read: {error.strerror}") from error


def load_tuned(
    spec: ModelSpec, tuning: Tuning, obstacle: str, load: Callable[[Precision], Classifier]
) -> tuple[Classifier, Choice]:
    """The classifier, and what was chosen for it. `obstacle` says what speaks against bfloat16 beforehand.

    `load` gives a new one; of the two that are compared, the other one is closed. Raises `ModelError`.
    """
    if tuning.precision == "float32":
        return load("float32"), Choice("float32", "as asked")
    if obstacle:
        choice = give_way(tuning.precision, obstacle)
        return load("float32"), choice
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
) -> tuple[Classifier | None, Choice]:
    try:
        samples = sample_images(spec)
        before = _answers(reference, samples)
    except SampleError as error:
        return None, give_way(tuning.precision, str(error))
    return _lower(samples, before, tuning, load)


def _lower(
    samples: Mapping[str, bytes],
    before: Mapping[str, Probabilities],
    tuning: Tuning,
    load: Callable[[Precision], Classifier],
) -> tuple[Classifier | None, Choice]:
    """The classifier in bfloat16, or None where it can't stand for the other one."""
    try:
        lower = load("bfloat16")
    except ModelError as error:
        return None, give_way(tuning.precision, f"bfloat16 fails: {error}")
    good = False
    try:
        try:
            after = _answers(lower, samples)
            obstacle = answers_obstacle(before, after, lower.spec.labels, tuning.tolerance)
        except Exception as error:  # whatever it is: float32 did without it a moment ago
            obstacle = f"bfloat16 fails: {first_line(error)}"
        if obstacle:
            return None, give_way(tuning.precision, obstacle)
        good = True
        return lower, Choice("bfloat16", agreement(before, after))
    finally:
        if not good:
            lower.close()


def _answers(classifier: Classifier, images: Mapping[str, bytes]) -> dict[str, Probabilities]:
    """A row of probabilities for each image, which ran alone."""
    classifier.warm_up()
    answers = {}
    for name, image in images.items():
        try:
            prepared = classifier.prepare(image, ImageLimits())
            answers[name] = classifier.run([prepared])[0]
        except ImageError as error:
            raise SampleError(f"the sample image {name} of {classifier.spec.path}: {error}") from error
    return answers
