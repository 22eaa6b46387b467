"""Images that come as values of a tensor become the tensor that an image model takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tfleet.worker.api.classify import Classify
from tfleet.worker.api.protocols.decoded import Array
from tfleet.worker.api.protocols.problems import bad_input, place, too_large
from tfleet.worker.api.signature_runs import SignatureRuns
from tfleet.worker.api.turn import Turn, check_wanted
from tfleet.worker.image.cost import is_too_slow

if TYPE_CHECKING:
    from tfleet.worker.inference import Classifier
    from tfleet.worker.inference.loaded_model import LoadedModel
    from tfleet.worker.inference.model_session import Tensors
    from tfleet.worker.model.signature import Signature


def image_input(model: LoadedModel, signature: Signature) -> str | None:
    """The input of the signature that takes images; None if none does."""
    if model.classifier is None or signature.name != model.session.default:
        return None
    return model.classifier.image_input


@dataclass(frozen=True, slots=True)
class SentImages:
    """The input `name` of a request, in which images were sent, if it is an array of objects.

    `lone`: an array without dimensions is one image. Otherwise it would be no list of rows.
    """

    name: str
    inputs: Tensors
    lone: bool

    def flat(self) -> list[bytes]:
        """The images, one for each row. Raises ProblemError (400) for any other shape."""
        array = self.inputs[self.name]
        if array.ndim == 1 or array.shape[1:] == (1,) or (self.lone and not array.ndim):
            found: list[bytes] = array.reshape(-1).tolist()
            return found
        raise bad_input(
            f"{place(self.name)}: images have the shape [N] or [N, 1], one image for each of N rows, and not "
            f"{list(array.shape)}: send each image in a row of its own"
        )


@dataclass(frozen=True, slots=True)
class ImageTensors:
    """Prepares images one by one, as those of `POST /predict` are."""

    runs: SignatureRuns
    classify: Classify

    def prepared(
        self, classifier: Classifier | None, sent: SentImages, turn: Turn, gone: Callable[[], bool]
    ) -> Tensors:
        """The inputs, with the images prepared. A tensor of numbers stays as it is.

        `gone` says whether the client has left. Raises RejectedError, ProblemError and ImageError.
        """
        if classifier is None or sent.inputs[sent.name].dtype != object:
            return sent.inputs
        return {**sent.inputs, sent.name: self._tensor(classifier, sent.flat(), turn, gone)}

    def _tensor(
        self, classifier: Classifier, images: Sequence[bytes], turn: Turn, gone: Callable[[], bool]
    ) -> Array:
        """What the model takes. All images become as large as the first one."""
        most = classifier.most_images
        if not images or (most is not None and len(images) > most):
            wanted = "at least one" if not images else f"at most {most}"
            raise bad_input(f"the request has {len(images)} images, and the model takes {wanted} at once")
        self.runs.limits.check_rows(len(images))
        self._check_estimates(classifier, images, lambda: check_wanted(turn, gone))
        began_s = time.perf_counter()
        first = self.classify.prepare(classifier, images[0], turn, gone)
        size = len(images) * (len(images[0]) if isinstance(first, bytes) else first.nbytes)
        self.runs.limits.check_together(size)
        self.runs.limits.reserve(2 * size)  # one by one, and together
        prepared = [first]
        for image in images[1:]:
            check_wanted(turn, gone)
            now_s = time.perf_counter()
            check_elapsed(now_s - began_s, self.classify.answer_within_s, len(prepared), len(images))
            # Busy decoders are a reason to reject an image that has waited for them, and not one whose turn
            # comes late because of the images before it.
            own = replace(turn, arrived_s=now_s)
            prepared.append(self.classify.prepare(classifier, image, own, gone))
        return classifier.tensor(prepared)

    def _check_estimates(
        self, classifier: Classifier, images: Sequence[bytes], check: Callable[[], None]
    ) -> None:
        """Raise ProblemError (413) for several images that would take too long, before they do."""
        within_s, cpu_s = self.classify.answer_within_s, 0.0
        if len(images) == 1:
            return  # its own limits hold
        for image in images:
            check()
            cpu_s += self.classify.estimate_s(classifier, image)
            if is_too_slow(cpu_s, within_s):
                raise too_large(
                    f"decoding the {len(images)} images of the request would take far more than "
                    f"{within_s:g} s, the most for one request: send fewer images at once, or smaller ones"
                )


def check_elapsed(elapsed_s: float, within_s: float, done: int, images: int) -> None:
    """Raise ProblemError (413) for a request that has taken its time with some of its images only.

    It is no 429: the same images would take as long again.
    """
    if elapsed_s >= within_s:
        raise too_large(
            f"decoding {done} of the request's {images} images has taken {within_s:g} s, the most for one "
            "request: send fewer images at once, or smaller ones"
        )
