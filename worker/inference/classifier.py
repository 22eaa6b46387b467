"""An image model in its session: from the bytes of an image to a row of probabilities.

`tf.compat.v1.Session.run` is thread-safe, so there is no lock around it.
"""

from __future__ import annotations

import io
import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from tfleet.worker.image.errors import BrokenImageError
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.image.preprocess import IsolatedDecode, encoded, pixels
from tfleet.worker.inference.batch_sizes import efficient_batch_sizes
from tfleet.worker.inference.errors import UnknownSignatureError
from tfleet.worker.inference.model_session import ModelSession
from tfleet.worker.inference.session_config import sees_gpu
from tfleet.worker.model.endpoints import EncodedInput, PixelInput, check_classes, find_input, find_output
from tfleet.worker.model.errors import ModelError, first_line
from tfleet.worker.model.tensorflow import tf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from tfleet.worker.inference.precision import Precision
    from tfleet.worker.model.spec import ModelSpec

# The result of `prepare` and input of `run`: float32 or uint8 [height, width, 3]; bytes for a graph that
# decodes.
PreparedImage: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.uint8] | bytes
Probabilities: TypeAlias = npt.NDArray[np.float32]

_TIMED_RUNS: Final = 3


class Classifier:
    """A model in its session. All methods may be called from any thread."""

    def __init__(self, session: ModelSession, feed: PixelInput | EncodedInput, fetch: tf.Tensor) -> None:
        self.spec = session.spec
        self.form = session.form
        self.session = session
        self.concurrent_runs = session.concurrent_runs
        """The best number of `run` calls at a time while there is enough to do."""
        self._session = session.tf_session
        self._feed = feed
        self._fetch = fetch
        self._batch = feed.batch
        self.batch_sizes: tuple[int, ...] = (1,)
        """The batch sizes to use, ascending; see `warm_up`."""

    @classmethod
    def of(cls, session: ModelSession) -> Self:
        """The classifier of an open model. Raises `ModelError` if its default signature takes no images."""
        try:
            signature = session.signature()
        except UnknownSignatureError as error:
            setting = session.spec.setting("model.signature", "--signature")
            raise ModelError(f"{session.spec.path}: {error} ({setting})") from error
        graph = session.tf_session.graph
        feed = find_input(session.spec, graph, signature)
        return cls(session, feed, find_output(session.spec, graph, signature, feed))

    @classmethod
    def load(
        cls,
        spec: ModelSpec,
        *,
        cpus: int | None = None,
        precision: Precision = "float32",
        session_factory: Callable[..., Any] = tf.compat.v1.Session,
    ) -> Self:
        """Load the model into a new session on `cpus` CPUs, by default all that the process may use.

        Raises `ModelError`; no session is left open then.
        """
        session = ModelSession.load(spec, cpus=cpus, precision=precision, session_factory=session_factory)
        try:
            return cls.of(session)
        except BaseException:
            session.close()
            raise

    def warm_up(self, sizes: Sequence[int] = (1,)) -> float:
        """Decode a grey image and run it in batches of these sizes, so that no request pays for one-off work:
        TensorFlow plans each size at its first run, and keeps data for each of its threads. The sizes that
        are worth using become `batch_sizes`.

        A graph that claims to take any number of images but fails on several (a reshape to one row is enough)
        gets one image at a time from now on.

        Returns the seconds it took. Raises `ModelError` if the graph cannot run, or if its answer is not a
        row of finite numbers, one for each label.
        """
        started = time.perf_counter()
        try:
            grey = self.prepare(_grey_jpeg(), ImageLimits())
            rows = self._rows([grey])
        except (tf.errors.OpError, ValueError, TypeError) as error:
            raise ModelError(f"{self.spec.path}: the graph does not run: {first_line(error)}") from error
        shape = np.shape(rows)
        if len(shape) != 2 or shape[0] != 1:  # noqa: PLR2004 - [images, classes]
            raise ModelError(
                f"{self.spec.path}: {self._fetch.name} gives {list(shape)} for one image, not [1, classes]"
            )
        check_classes(self.spec, shape[1])
        if not np.isfinite(rows).all():
            raise ModelError(
                f"{self.spec.path}: {self._fetch.name} gives numbers that are not finite for a grey image"
            )
        # Checked with real runs: the shapes that a graph states say nothing of the operations inside.
        if all(self._runs_together([grey] * size, shape[1]) for size in sizes):
            self.batch_sizes = efficient_batch_sizes(self._costs(grey, sizes))
        else:
            self._batch = 1
        return time.perf_counter() - started

    def prepare(
        self, image: bytes, limits: ImageLimits, isolated: IsolatedDecode | None = None
    ) -> PreparedImage:
        """Turn the bytes of an image into the input of the graph; `isolated` decodes costly images.

        Raises subclasses of `ImageError`.
        """
        if isinstance(self._feed, EncodedInput):
            return encoded(image, limits, isolated)
        decoded = pixels(image, limits, self._feed.geometry, isolated)
        if self._feed.channels == "bgr":
            decoded = decoded[..., ::-1]
        return decoded if self._feed.scaling is None else self._feed.scaling(decoded)

    def run(self, batch: Sequence[PreparedImage]) -> Probabilities:
        """Classify prepared images: float32 [len(batch), classes], probabilities from 0 to 1 in each row.

        Raises `BrokenImageError` if a graph that decodes images rejects one of the batch.
        """
        if not batch:
            return np.empty((0, len(self.spec.labels)), dtype=np.float32)
        try:
            rows = self._rows(batch).astype(np.float32, copy=False)
        except tf.errors.InvalidArgumentError as error:
            # Pixels are always valid, so this is the graph's fault and not the client's.
            if isinstance(self._feed, PixelInput):
                raise
            raise BrokenImageError(
                f"the model's own decoder rejects the image: {first_line(error)}"
            ) from error
        return _softmax(rows) if self.spec.output.activation == "softmax" else rows

    def top(self, probabilities: Probabilities, n: int) -> tuple[tuple[str, float], ...]:
        """The `n` best labels of one row of `run` with their probabilities, best first; all if there are
        fewer.
        """
        # Stable, so that equal probabilities keep the order of the labels.
        best = np.argsort(-probabilities, kind="stable")[: max(n, 0)]
        return tuple((self.spec.labels[index], float(probabilities[index])) for index in best)

    def close(self) -> None:
        """Close the session. No run may be in progress. A second call has no effect."""
        self.session.close()

    def __repr__(self) -> str:
        state = "closed" if self.session.closed else "open"
        return f"Classifier({self.spec.label}, {len(self.spec.labels)} classes, {state})"

    def _runs_together(self, images: Sequence[PreparedImage], classes: int) -> bool:
        try:
            return all(np.shape(rows) == (len(images), classes) for rows in self._run_concurrently(images))
        except (tf.errors.OpError, ValueError):
            return False

    def _costs(self, image: PreparedImage, sizes: Sequence[int]) -> dict[int, float]:
        """The seconds that a run takes, by batch size: the least of several runs.

        These are CPU seconds. A batch waits only while all run slots are taken, and then the work counts;
        wall-clock time would include other processes, often workers that start at the same time. A GPU's work
        does not count as CPU time, so there the wall clock is used.
        """
        clock = time.perf_counter if sees_gpu() else time.process_time
        costs: dict[int, float] = {}
        # All sizes in turn, three times: a disturbance of some milliseconds then hits one run of each size at
        # most.
        for size in [*sizes] * _TIMED_RUNS:
            began_s = clock()
            self._rows([image] * size)
            costs[size] = min(costs.get(size, math.inf), clock() - began_s)
        return costs

    def _run_concurrently(self, images: Sequence[PreparedImage]) -> list[npt.NDArray[Any]]:
        # As many at once as later, so that each of TensorFlow's threads allocates what it keeps.
        with ThreadPoolExecutor(self.concurrent_runs) as pool:
            return list(pool.map(self._rows, [images] * self.concurrent_runs))

    def _rows(self, batch: Sequence[PreparedImage]) -> npt.NDArray[Any]:
        # A graph with a fixed batch size gets several runs, the last one filled up.
        size = self._batch or len(batch)
        parts = [self._run_at_once(batch[start : start + size], size) for start in range(0, len(batch), size)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run_at_once(self, images: Sequence[PreparedImage], size: int) -> npt.NDArray[Any]:
        fed: Any
        # A graph with a fixed, larger batch size gets the last image repeated; those rows are cut off below.
        filled = [*images, *[images[-1]] * (size - len(images))]
        if isinstance(self._feed, PixelInput):
            fed = np.stack(filled)
        else:
            fed = filled[0] if self._feed.scalar else np.array(filled, dtype=object)
        rows: npt.NDArray[Any] = self._session.run(self._fetch, {self._feed.tensor: fed})
        return rows[: len(images)] if len(images) < size else rows


def _grey_jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (256, 256), "grey").save(buffer, "JPEG")
    return buffer.getvalue()


def _softmax(logits: Probabilities) -> Probabilities:
    # Without the subtraction large logits would overflow float32.
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Probabilities = powers / powers.sum(axis=1, keepdims=True)
    return probabilities
