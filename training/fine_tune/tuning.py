"""Train the last layers of a network, with the head behind it. Only the child imports this.

The batch normalisation of the graph is folded into its kernels, and so stays as it is: what a short training
on few photographs needs anyway. The validation photographs say which epoch counts; those of the test are only
answered at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt

from tfleet.training.fine_tune.augment import augmented
from tfleet.training.fine_tune.best_epoch import BestEpoch
from tfleet.training.fine_tune.job import CONSTANT, FineTuneJob
from tfleet.training.fine_tune.layers import CONVOLUTION, DEPTHWISE, Layer, Layers, read_layers
from tfleet.training.fine_tune.rebuild import keras_name, rebuild
from tfleet.training.head import loss_terms
from tfleet.training.softmax_regression import softmax
from tfleet.worker.model.tensorflow import tf

SAME: Final = 1e-4
"""How far the vectors of the rebuilt network may be from the graph's own, relative to their length."""
TRAINED_CONVOLUTIONS: Final = 10
"""Of EfficientNet-Lite0 these are the last three blocks and the convolution behind them."""
_BATCH: Final = 16
_DROPOUT: Final = 0.2
_CLIP: Final = 1.0
_WARM_UP: Final = 0.1
"""Of all steps."""
_SMOOTHING: Final = 0.1
"""Of the labels. Without it few photographs make the network too sure of its answers. With it the network is
not sure enough, by a factor that is found on validation, as the penalty of a head is.
"""
_SURENESS: Final = np.geomspace(1 / 32, 8, 65, dtype=np.float32)
"""What the scores are multiplied by."""
_WORTH: Final = 0.01
"""How much smaller its loss has to make a surer network. Where it makes no mistake on validation, each surer
one has a smaller loss, and the network would be sure of anything.
"""
_ASKED: Final = 256
"""So many photographs that train say how sure the head should be when the training begins."""

Rows = npt.NDArray[np.intp]
Probabilities = npt.NDArray[np.float32]
Report = Callable[[int, int, int], None]
"""Gets the epoch, the batches that are done, and those of all epochs."""


class NotTheSameError(Exception):
    """The rebuilt network has other vectors than the graph."""


@dataclass(frozen=True, slots=True)
class _Photos:
    """Pixels[photos, height, width, 3] in a file, and classes[photos]."""

    pixels: npt.NDArray[np.uint8]
    classes: Rows
    scaling: Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Validation:
    """The smallest loss for any sureness, which is the sum of `terms`[photos], and the sureness to take."""

    terms: npt.NDArray[np.float64]
    sureness: np.float32

    @property
    def loss(self) -> float:
        return float(self.terms.sum())


def tune(job: FineTuneJob, report: Report) -> dict[str, Any]:
    """Do the job: write the result, and return the figures of the training.

    Raises NotTheSameError, and what Keras raises.
    """
    began_s = time.monotonic()
    keras.utils.set_random_seed(job.plan.seed)
    definition = tf.compat.v1.GraphDef.FromString(job.backbone.read_bytes())
    network = read_layers(definition, job.image, job.embedding)
    with np.load(job.photos, allow_pickle=False) as file:
        given = dict(file)
    shape = (len(given["classes"]), *network.shape)
    photos = _Photos(
        np.memmap(job.pixels, np.uint8, "r", shape=shape),
        given["classes"],
        job.scaling or (lambda pixels: pixels.astype(np.float32)),
    )
    backbone = rebuild(network)
    _check(backbone, photos, given["expected"])
    trained = _choose(backbone, network)
    steps = job.plan.epochs * -(-len(given["train"]) // _BATCH)
    model = _with_head(backbone, given["weights"], given["intercepts"], job.plan.penalty)
    model.compile(
        keras.optimizers.Adam(rates(job.plan.learning_rate, steps), global_clipnorm=_CLIP),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=_SMOOTHING),
    )
    tuner = _Tuner(model, photos, job)
    figures = tuner.train(given["train"], given["validation"], report)
    head = tuner.model.get_layer("head")
    weights, intercepts = head.get_weights()
    constants = {
        CONSTANT + each.constant: backbone.get_layer(keras_name(each.name)).get_weights()[0]
        for each in trained
    }
    np.savez(
        job.result,
        probabilities=tuner.probabilities(given["test"]),
        weights=weights * tuner.sureness,
        intercepts=intercepts * tuner.sureness,
        **constants,
    )
    return {**figures, "seconds": round(time.monotonic() - began_s, 2)}


def rates(largest: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate of each of so many steps.

    It grows in the first tenth: Adam's first steps are of full size in any direction, and the head has not
    seen augmented photographs yet. Then it shrinks to 0, as half a cosine does, so that the last epochs can
    keep what the first ones have found.
    """
    warm_up = max(1, round(_WARM_UP * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=largest, warmup_steps=warm_up
    )


def _check(backbone: keras.Model, photos: _Photos, expected: npt.NDArray[np.float32]) -> None:
    """Compare the vectors of the first photographs with those of the graph. Raises NotTheSameError."""
    found = backbone.predict_on_batch(photos.scaling(photos.pixels[: len(expected)]))
    off = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
    if not off.max() <= SAME:
        raise NotTheSameError(f"vectors differ by {off.max():.1e} of their length, more than {SAME:g}")


def _choose(backbone: keras.Model, network: Layers) -> list[Layer]:
    """Let the last convolutions and their biases be trained, and nothing before them."""
    backbone.trainable = False
    kernels = [each for each in network.layers if each.kind in (CONVOLUTION, DEPTHWISE)]
    first = network.layers.index(kernels[-TRAINED_CONVOLUTIONS:][0]) if kernels else len(network.layers)
    trained = [each for each in network.layers[first:] if each.weights is not None]
    backbone.trainable = True
    names = {keras_name(each.name) for each in trained}
    for layer in backbone.layers:
        layer.trainable = layer.name in names
    return trained


def _with_head(backbone: keras.Model, weights: Any, intercepts: Any, penalty: float) -> keras.Model:
    regularizer = keras.regularizers.L2(penalty / 2)
    head = keras.layers.Dense(len(intercepts), kernel_regularizer=regularizer, name="head")
    model = keras.Model(backbone.input, head(keras.layers.Dropout(_DROPOUT)(backbone.output)))
    head.set_weights([weights, intercepts])
    return model


class _Tuner:
    def __init__(self, model: keras.Model, photos: _Photos, job: FineTuneJob) -> None:
        self.model = model
        self._photos = photos
        self.sureness = np.float32(1)
        self._epochs = job.plan.epochs
        self._mirror = job.plan.mirror
        self._chance = np.random.default_rng(job.plan.seed)

    def __repr__(self) -> str:
        return f"<_Tuner {self._photos.pixels.shape}>"

    def train(self, train: Rows, validation: Rows, report: Report) -> dict[str, Any]:
        """Train all epochs. The model has the weights of the best epoch then."""
        sizes = np.bincount(self._photos.classes[train], minlength=1)
        # Each class counts alike, and a photograph is 1 on average.
        shares = len(train) / (np.count_nonzero(sizes) * np.maximum(sizes, 1)).astype(np.float32)
        of_head = of_best = self._judge(validation)
        self._soften(train)
        epochs = BestEpoch()
        best: list[npt.NDArray[Any]] = []
        batches = -(-len(train) // _BATCH)
        while epochs.epoch < self._epochs:
            for done, rows in enumerate(_batches(self._chance.permutation(train)), 1):
                classes = self._photos.classes[rows]
                wanted = keras.utils.to_categorical(classes, self.model.output_shape[-1])
                self.model.train_on_batch(self._augmented(rows), wanted, sample_weight=shares[classes])
                report(epochs.epoch + 1, epochs.epoch * batches + done, self._epochs * batches)
            judged = self._judge(validation)
            if epochs.add(judged.loss):
                of_best = judged
                best = [np.array(each.numpy()) for each in self.model.trainable_variables]
        for variable, values in zip(self.model.trainable_variables, best, strict=True):
            variable.assign(values)
        self.sureness = of_best.sureness
        return {
            "epochs": epochs.epoch,
            "best": epochs.best,
            "loss": epochs.loss,
            "head_loss": of_head.loss,
            "doubt": standard_error(of_head.terms - of_best.terms),
        }

    def probabilities(self, rows: Rows) -> Probabilities:
        """float32[rows, classes]. Where the training has led to no numbers, 0."""
        return _probabilities(self._scores(rows) * self.sureness)

    def _soften(self, train: Rows) -> None:
        """Make the head as sure as it may be of augmented photographs and smoothed labels.

        It has seen neither. Where it is far too sure, the gradients of its mistakes would be so large that
        they change the network before the head itself is right again.
        """
        rows = self._chance.permutation(train)[:_ASKED]
        scores = np.concatenate(
            [self.model.predict_on_batch(self._augmented(each)) for each in _batches(rows)]
        )
        wanted = keras.utils.to_categorical(self._photos.classes[rows], scores.shape[-1])
        losses = [float(self.model.loss(wanted, scores * each)) for each in _SURENESS]
        factor = _SURENESS[int(np.argmin(losses))]
        head = self.model.get_layer("head")
        head.set_weights([each * factor for each in head.get_weights()])

    def _augmented(self, rows: Rows) -> npt.NDArray[np.float32]:
        pixels = augmented(self._photos.pixels[rows], self._chance, mirror=self._mirror)
        return self._photos.scaling(pixels)

    def _judge(self, rows: Rows) -> Validation:
        return judge(self._scores(rows), self._photos.classes[rows])

    def _scores(self, rows: Rows) -> npt.NDArray[np.float32]:
        parts = [
            self.model.predict_on_batch(self._photos.scaling(self._photos.pixels[each]))
            for each in _batches(rows)
        ]
        return np.concatenate(parts) if parts else np.empty((0, self.model.output_shape[-1]), np.float32)


def judge(scores: npt.NDArray[np.float32], classes: Rows) -> Validation:
    """Take the least sureness that is as good as the best one but for `_WORTH`."""
    terms = np.array([loss_terms(_probabilities(scores * each), classes) for each in _SURENESS])
    losses = terms.sum(axis=1)
    best = int(losses.argmin())
    return Validation(terms[best], _SURENESS[np.argmax(losses <= losses[best] + _WORTH)])


def standard_error(gains: npt.NDArray[np.float64]) -> float | None:
    """Of the sum of what each photograph gains. One photograph says nothing of it."""
    if len(gains) < 2:  # noqa: PLR2004
        return None
    return float(np.sqrt(len(gains)) * gains.std(ddof=1))


def _probabilities(scores: npt.NDArray[np.float32]) -> Probabilities:
    found: Probabilities = np.nan_to_num(softmax(scores))
    return found


def _batches(rows: Rows) -> Iterator[Rows]:
    for start in range(0, len(rows), _BATCH):
        yield rows[start : start + _BATCH]
