"""Small graphs of real operations: they answer with the share of red, green and blue in an image."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.support.pictures import write_labels
from tfleet.worker.model.tensorflow import tf

SIZE = 8
MANIFEST = '[input]\ntensor = "image:0"\n[output]\ntensor = "shares:0"\n'


def write_graph(path: Path, build: Callable[[], Any]) -> Path:
    """Write what `build` puts into the default graph as a frozen graph."""
    with tf.Graph().as_default() as graph:
        build()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def pixel_graph(shape: Sequence[int | None] | None = (None, SIZE, SIZE, 3), dtype: Any = tf.float32) -> None:
    """`image`, pixels of 0 to 1 or uint8, to `shares`: sharp, so that 1 is almost all."""
    image = tf.compat.v1.placeholder(dtype, shape, name="image")
    channels = tf.reduce_mean(
        tf.cast(image, tf.float32) * (10.0 if dtype == tf.float32 else 10 / 255), [1, 2]
    )
    tf.nn.softmax(tf.ensure_shape(channels, [None, 3]), name="shares")


def decoding_graph() -> None:
    """The names of the graph that TensorFlow's retrain.py made: one encoded image in, `final_result` out."""
    contents = tf.compat.v1.placeholder(tf.string, [], name="DecodeJpeg/contents")
    image = tf.cast(tf.io.decode_jpeg(contents, channels=3, name="DecodeJpeg"), tf.float32) / 25.5
    tf.nn.softmax(tf.reduce_mean(image, [0, 1])[None, :], name="final_result")


def write_model(folder: Path, build: Callable[[], Any] = pixel_graph, manifest: str = MANIFEST) -> Path:
    """Write a version folder."""
    write_graph(folder / "graph.pb", build)
    write_labels(folder)
    (folder / "model.toml").write_text(manifest, encoding="utf-8")
    return folder


class Shares(tf.Module):  # type: ignore[misc] # TensorFlow has no types
    """The same answer from a model with a variable."""

    def __init__(self) -> None:
        super().__init__()
        self.sharpness = tf.Variable(10.0)

    @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32, name="picture")])  # type: ignore[untyped-decorator] # as above
    def of_pixels(self, picture: Any) -> Any:
        return {"shares": tf.nn.softmax(tf.reduce_mean(picture, [1, 2]) * self.sharpness)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="contents")])  # type: ignore[untyped-decorator] # as above
    def of_files(self, contents: Any) -> Any:
        def mean(content: Any) -> Any:
            image = tf.io.decode_jpeg(content, channels=3)
            return tf.reduce_mean(tf.cast(image, tf.float32) / 255, [0, 1])

        means = tf.map_fn(mean, contents, fn_output_signature=tf.TensorSpec([3], tf.float32))
        return {"shares": tf.nn.softmax(means * self.sharpness)}


def write_saved_model(folder: Path, *, of: str = "of_pixels", signature: bool = True) -> Path:
    """Write a TensorFlow 2 SavedModel with a variable. Without `signature` it has none to serve."""
    module = Shares()
    tf.saved_model.save(module, str(folder), signatures=getattr(module, of) if signature else None)
    shutil.rmtree(folder / "assets", ignore_errors=True)
    return folder
