"""Resampling without antialiasing gives what TensorFlow's own gives."""

import numpy as np
import pytest

from tfleet.worker.image.geometry import Resample
from tfleet.worker.image.resample import resample_points

_PICTURE = np.random.default_rng(11).integers(0, 256, (61, 47, 3), dtype=np.uint8)


def test_the_same_size_gives_the_same_picture() -> None:
    for kernel in ("nearest", "bilinear", "bicubic", "lanczos"):
        out = resample_points(_PICTURE, (61, 47), (0, 0, 47, 61), kernel)
        assert (out == _PICTURE).all(), kernel


def test_pixels_outside_the_box_do_not_count() -> None:
    out = resample_points(_PICTURE, (9, 9), (10, 5, 40, 50), "bicubic")
    assert (out == resample_points(_PICTURE[5:50, 10:40], (9, 9), (0, 0, 30, 45), "bicubic")).all()


@pytest.mark.process
@pytest.mark.parametrize("kernel", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(20, 31), (224, 224), (7, 90)])
def test_resampling_equals_tensorflows(kernel: Resample, size: tuple[int, int]) -> None:
    import tensorflow as tf  # noqa: PLC0415 - takes seconds, for this test only

    theirs = np.clip(np.rint(tf.image.resize(_PICTURE, size, method=kernel).numpy()), 0, 255)
    ours = resample_points(_PICTURE, size, (0, 0, 47, 61), kernel)
    assert np.abs(ours - theirs).max() <= 1
    assert (ours == theirs).mean() > 0.95
