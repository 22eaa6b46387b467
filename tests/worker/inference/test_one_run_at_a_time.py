"""A model with state has one run at a time, whichever of its signatures and queues the runs belong to."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.graphs import SIZE, write_saved_model
from tests.support.pictures import picture, write_labels
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference import Classifier
from tfleet.worker.inference.batcher import Batcher, first_of
from tfleet.worker.model import find_model
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process

CALLS = 40


class CountedShares(tf.Module):  # type: ignore[misc] # TensorFlow has no types
    """Classifies pictures, and counts them; another signature counts as well. Reading takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.total = tf.Variable(0.0)
        self.large = tf.Variable(tf.ones([400, 400]))

    def counted(self) -> Any:
        before = self.total.read_value()
        slow = tf.reduce_sum(tf.matmul(self.large * before, self.large)) * 0.0
        return self.total.assign(before + slow + 1.0)

    @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32, "picture")])  # type: ignore[untyped-decorator] # as above
    def classify(self, picture: Any) -> Any:
        shares = tf.nn.softmax(tf.reduce_mean(picture, [1, 2]))
        return {"shares": shares + 0.0 * self.counted()}

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32, "x")])  # type: ignore[untyped-decorator] # as above
    def count(self, x: Any) -> Any:
        return {"total": self.counted() + x}

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32, "x")])  # type: ignore[untyped-decorator] # as above
    def peek(self, x: Any) -> Any:
        return {"total": self.total + x}


def test_both_queues_of_an_image_model_take_turns(tmp_path: Path) -> None:
    folder = tmp_path / "m" / "1"
    module = CountedShares()
    signatures = {"serving_default": module.classify, "count": module.count, "peek": module.peek}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    write_labels(folder)
    (folder / "model.toml").write_text("[input]\nmean = 0\nstd = 255\n")
    zero = {"x": np.zeros((), np.float32)}
    with closing(Classifier.load(find_model(folder), cpus=2)) as model:
        model.warm_up()
        image = model.prepare(picture("red"), ImageLimits())
        images: Batcher[Any, Any] = Batcher(
            lambda batch: list(model.run(batch)), first_of(lambda: (1,)), lambda: model.concurrent_runs
        )

        def classify() -> object:
            return images(image)

        def count() -> object:
            return model.predictor("count", zero, rows=None)

        with ThreadPoolExecutor(4) as pool:
            for each in [pool.submit(call) for _ in range(CALLS) for call in (classify, count)]:
                each.result()
        assert model.predictor("peek", zero, rows=None).outputs["total"] == 2 * CALLS, "no update is lost"


def test_a_model_without_state_takes_no_turns(tmp_path: Path) -> None:
    folder = write_saved_model(tmp_path / "m" / "1")
    write_labels(folder)
    (folder / "model.toml").write_text("[input]\nmean = 0\nstd = 255\n")
    with (
        closing(Classifier.load(find_model(folder), cpus=2)) as model,
        model.session.turn,
        model.session.turn,
    ):
        assert model.concurrent_runs == 2
