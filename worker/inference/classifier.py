"""An image model in its session: from the bytes of an image to a row of probabilities.

`tf.compat.v1.Session.run` is thread-safe. Only the runs of a model with state take turns, see ModelSession.
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
from tfleet.worker.image.preprocess import IsolatedDecode, decoding_cost, encoded, pixels, with_channels
from tfleet.worker.inference.batch_sizes import efficient_batch_sizes
from tfleet.worker.inference.class_scores import ClassScores, are_probabilities, class_scores
from tfleet.worker.inference.errors import UnknownSignatureError
from tfleet.worker.inference.model_session import ModelSession
from tfleet.worker.inference.postprocess import load_postprocess
from tfleet.worker.inference.predictor import Predictor
from tfleet.worker.inference.session_config import sees_gpu
from tfleet.worker.model.asset_labels import asset_labels
from tfleet.worker.model.endpoints import EncodedInput, PixelInput, check_classes, find_input, find_output
from tfleet.worker.model.errors import ModelError, first_line
from tfleet.worker.model.facts import Source
from tfleet.worker.model.tensorflow import tf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from tfleet.worker.inference.batch_check import BatchCheck
    from tfleet.worker.inference.precision import Precision
    from tfleet.worker.model.spec import ModelSpec

# The result of `prepare` and input of `run`: float32 or uint8 [height, width, channels], or with the channels
# first; bytes for a graph that decodes.
PreparedImage: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.uint8] | bytes
Probabilities: TypeAlias = npt.NDArray[np.float32]
Vectors: TypeAlias = npt.NDArray[np.float32]

_TIMED_RUNS: Final = 3
_RGB: Final = 3
_WARM_UP_SIZE: Final = (256, 256)
_ROUNDING: Final = 0.02  # of the largest number of a row: bfloat16 has 8 bits
_SMALLEST: Final = 1e-6  # a row of smaller numbers is compared as if this were its largest one


class Classifier:
    """An image model in its session. All methods may be called from any thread."""

    def __init__(self, session: ModelSession, feed: PixelInput | EncodedInput, fetch: tf.Tensor) -> None:
        self.spec = session.spec
        self.facts = session.facts
        self.session = session
        self.predictor = Predictor(session)
        self.concurrent_runs = session.concurrent_runs
        """The best number of `run` calls at a time while there is enough to do."""
        self._session = session.tf_session
        self._feed = feed
        self._fetch = fetch
        self.embedding = session.embedding
        """What `embed` gives; None if the model names none."""
        self._batch = feed.batch
        self.batch_sizes: tuple[int, ...] = (1,)
        """The batch sizes to use, ascending; see `warm_up`."""
        self.labels_source = Source.LABELS_FILE
        self.checks: tuple[BatchCheck, ...] = ()
        self.scores = ClassScores(self.spec.labels)
        """What becomes of the graph's rows; all of it is known after `warm_up`."""
        classes = fetch.shape[-1] if fetch.shape.rank else None
        if classes is not None:
            self._know_classes(int(classes), sum_to_one=True)

    @property
    def classifier(self) -> Self:
        """Itself, as a model that classifies images."""
        return self

    @property
    def form(self) -> str:
        """What became of a SavedModel's variables; see `ModelSession`."""
        return self.session.form

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the classes; numbers where there are none."""
        return self.scores.labels

    @classmethod
    def of(cls, session: ModelSession) -> Self:
        """The classifier of an open model. Raises `ModelError` if its default signature takes no images."""
        try:
            signature = session.signature()
        except UnknownSignatureError as error:
            setting = session.spec.setting("model.signature", "--signature")
            raise ModelError(f"{session.spec.origin}: {error} ({setting})") from error
        load_postprocess(session.spec, session.facts)  # which an image model cannot have
        graph = session.tf_session.graph
        feed = find_input(session.spec, graph, signature, session.graph_facts.pixels)
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
        """Decode two images and run them in batches of these sizes, so that no request pays for one-off work:
        TensorFlow plans each size at its first run, and keeps data for each of its threads. The sizes that
        are worth using become `batch_sizes`; only 1 is where the model's `batch` is false.

        A graph that claims to take any number of images gets one at a time from now on if it fails on several
        (a reshape to one row is enough), or answers something else for an image among others.

        Returns the seconds it took. Raises `ModelError` if the graph cannot run, or if its answer is not a
        row of finite numbers, one for each label.
        """
        started = time.perf_counter()
        grey, noise = (self.prepare(each, ImageLimits()) for each in _warm_up_images())
        if self.facts.stateful.value:
            self._batch = 1
            self._check(self._first_rows([grey]), 1)
            self.session.restore()
            return time.perf_counter() - started
        first = self._first_rows([grey])
        self._check(first, 1)
        rows = np.concatenate([first, self._first_rows([noise])])
        self._check(rows, 2)
        # Checked with real runs: the shapes that a graph states say nothing of the operations inside.
        wanted = self.facts.batch.value
        if wanted and all(self._runs_together([grey, noise], rows, size) for size in sizes):
            self.batch_sizes = efficient_batch_sizes(self._costs(grey, sizes))
        else:
            self._batch = self._batch or 1  # a graph with a fixed size has to get so many images
        return time.perf_counter() - started

    def _first_rows(self, images: Sequence[PreparedImage]) -> npt.NDArray[Any]:
        try:
            return self._rows(images)
        except (tf.errors.OpError, ValueError, TypeError) as error:
            raise ModelError(f"{self.spec.origin}: the graph does not run: {first_line(error)}") from error

    def _check(self, rows: npt.NDArray[Any], images: int) -> None:
        """Look at the first rows, one for each image. Raises `ModelError`."""
        shape = np.shape(rows)
        if len(shape) != 2 or shape[0] != images:  # noqa: PLR2004 - [images, classes]
            raise ModelError(
                f"{self.spec.origin}: {self._fetch.name} gives {list(shape)} for one image, not [1, classes]"
            )
        check_classes(self.spec, shape[1])
        if not np.isfinite(rows).all():
            raise ModelError(
                f"{self.spec.origin}: {self._fetch.name} gives numbers that are not finite for a grey image"
            )
        self._know_classes(shape[1], sum_to_one=are_probabilities(rows))

    def _know_classes(self, classes: int, *, sum_to_one: bool) -> None:
        path, labels = self.spec.path, self.spec.labels
        self.labels_source = Source.LABELS_FILE if labels else Source.ASSETS
        labels = labels or asset_labels(path, classes) or (asset_labels(path, 2) if classes == 1 else ())
        if not labels:
            self.labels_source = Source.DEFAULT
        self.scores = class_scores(self.spec, self.facts, classes, labels, sum_to_one=sum_to_one)

    def prepare(
        self, image: bytes, limits: ImageLimits, isolated: IsolatedDecode | None = None
    ) -> PreparedImage:
        """Turn the bytes of an image into the input of the graph; `isolated` decodes costly images.

        Raises subclasses of `ImageError`.
        """
        if isinstance(self._feed, EncodedInput):
            return encoded(image, limits, isolated)
        decoded = pixels(image, limits, self._feed.geometry, isolated)
        if self._feed.layout.depth != _RGB:
            decoded = with_channels(decoded, self._feed.layout.depth)
        if self._feed.channels == "bgr":
            decoded = decoded[..., [2, 1, 0, *range(_RGB, decoded.shape[-1])]]
        scaled = decoded if self._feed.scaling is None else self._feed.scaling(decoded)
        return scaled.transpose(2, 0, 1) if self._feed.layout.channels_first else scaled

    def estimate_s(self, image: bytes, limits: ImageLimits) -> float:
        """How many seconds of a CPU `prepare` takes at most, as the image's header lets expect.

        Raises subclasses of `ImageError`.
        """
        geometry = None if isinstance(self._feed, EncodedInput) else self._feed.geometry
        return decoding_cost(image, limits, geometry).cpu_s

    @property
    def image_input(self) -> str:
        """The input of the default signature that takes images."""
        return next(info.name for info in self.session.signature().inputs if not info.optional)

    @property
    def pixel_input(self) -> PixelInput | None:
        """The input that takes decoded images; None for a graph that decodes them itself."""
        return self._feed if isinstance(self._feed, PixelInput) else None

    @property
    def most_images(self) -> int | None:
        """How many images may be in one run; None for any number."""
        return self._batch

    def tensor(self, images: Sequence[PreparedImage]) -> npt.NDArray[Any]:
        """Prepared images, at least one, as the graph's input takes them.

        Of a graph without a dimension for images it is the first one.
        """
        if isinstance(self._feed, PixelInput):
            fed = np.stack(images) if self._feed.layout.batched else np.asarray(images[0])
            return fed.astype(self._feed.dtype, copy=False)
        return np.array(images[0] if self._feed.scalar else images, dtype=object)

    def run(self, batch: Sequence[PreparedImage]) -> Probabilities:
        """Classify prepared images: float32 [len(batch), labels], in each row the scores of one image, which
        are probabilities where `scores` says so.

        Raises `BrokenImageError` if a graph that decodes images rejects one of the batch.
        """
        if not batch:
            return np.empty((0, len(self.labels)), dtype=np.float32)
        return self.scores(self._rows_of_images(batch, self._fetch))

    def embed(self, batch: Sequence[PreparedImage]) -> Vectors:
        """The vectors of prepared images: float32 [len(batch), embedding.size].

        The first call takes longer, as TensorFlow prepares the part of the graph that it runs. The model must
        have an `embedding`. Raises as `run` does.
        """
        assert self.embedding is not None, "the caller has looked"
        if not batch:
            return np.empty((0, self.embedding.size), dtype=np.float32)
        tensor = self._session.graph.get_tensor_by_name(self.embedding.tensor)
        rows = self._rows_of_images(batch, tensor)
        return rows.reshape(len(batch), self.embedding.size).astype(np.float32, copy=False)

    def _rows_of_images(self, batch: Sequence[PreparedImage], fetch: tf.Tensor) -> npt.NDArray[Any]:
        try:
            return self._rows(batch, fetch)
        except tf.errors.InvalidArgumentError as error:
            # Pixels are always valid, so this is the graph's fault and not the client's.
            if isinstance(self._feed, PixelInput):
                raise
            raise BrokenImageError(
                f"the model's own decoder rejects the image: {first_line(error)}"
            ) from error

    def top(self, scores: Probabilities, n: int) -> tuple[tuple[str, float], ...]:
        """The `n` best labels of one row of `run` with their scores, best first; all if there are fewer."""
        return self.scores.top(scores, n)

    def close(self) -> None:
        """Close the session. No run may be in progress. A second call has no effect."""
        self.session.close()

    def __repr__(self) -> str:
        state = "closed" if self.session.closed else "open"
        return f"Classifier({self.spec.label}, {len(self.labels)} classes, {state})"

    def _runs_together(self, images: Sequence[PreparedImage], expected: npt.NDArray[Any], size: int) -> bool:
        """Whether `size` of these images, again and again, give the expected row for each of them."""
        turns = [number % len(images) for number in range(size)]
        try:
            found = self._run_concurrently([images[turn] for turn in turns])
        except (tf.errors.OpError, ValueError):
            return False
        return all(_near(rows, expected[turns]) for rows in found)

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

    def _rows(self, batch: Sequence[PreparedImage], fetch: tf.Tensor | None = None) -> npt.NDArray[Any]:
        # A graph with a fixed batch size gets several runs, the last one filled up.
        size, fetch = self._batch or len(batch), self._fetch if fetch is None else fetch
        parts = [
            self._run_at_once(batch[start : start + size], size, fetch)
            for start in range(0, len(batch), size)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run_at_once(self, images: Sequence[PreparedImage], size: int, fetch: tf.Tensor) -> npt.NDArray[Any]:
        # A graph with a fixed, larger batch size gets the last image repeated; those rows are cut off below.
        fed = self.tensor([*images, *[images[-1]] * (size - len(images))])
        with self.session.turn:
            rows: npt.NDArray[Any] = self._session.run(fetch, {self._feed.tensor: fed})
        if rows.ndim == 1 and isinstance(self._feed, PixelInput) and not self._feed.layout.batched:
            rows = rows[None]
        return rows[: len(images)] if len(images) < size else rows


def _near(rows: npt.NDArray[Any], expected: npt.NDArray[Any]) -> bool:
    """Whether the rows are the same but for rounding, also that of bfloat16."""
    if np.shape(rows) != expected.shape:
        return False
    wide = expected.astype(np.float64)
    difference = np.abs(rows.astype(np.float64) - wide).max(axis=1)
    # By row: where a thousand classes share a probability of 1, all numbers of a row may be near 0.001.
    return bool((difference <= _ROUNDING * np.maximum(_SMALLEST, np.abs(wide).max(axis=1))).all())


def _warm_up_images() -> tuple[bytes, bytes]:
    """A grey picture, and one of reddish noise: also their means are different."""
    noise = np.random.default_rng(0).integers(0, [256, 128, 32], (*_WARM_UP_SIZE, 3), np.uint8)
    pictures = (Image.new("RGB", _WARM_UP_SIZE, "grey"), Image.fromarray(noise))
    files = [io.BytesIO(), io.BytesIO()]
    for picture, file in zip(pictures, files, strict=True):
        picture.save(file, "JPEG")
    return files[0].getvalue(), files[1].getvalue()
