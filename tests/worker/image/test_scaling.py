"""Pixels become the numbers a model was trained with."""

import numpy as np

from tfleet.worker.image.geometry import Scaling

_PIXELS = np.array([[[0, 127, 255]]], dtype=np.uint8)


def test_the_default_is_from_0_to_1() -> None:
    scaled = Scaling()(_PIXELS)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, [[[0, 127 / 255, 1]]], rtol=1e-6)


def test_the_mean_is_taken_off_before_the_division() -> None:
    np.testing.assert_array_equal(Scaling((127,), (128,))(_PIXELS), [[[-127 / 128, 0, 1]]])


def test_each_channel_may_have_its_own() -> None:
    np.testing.assert_array_equal(Scaling((1, 27, 55), (1, 10, 100))(_PIXELS), [[[-1, 10, 2]]])


def test_the_pixels_themselves_are_left_alone() -> None:
    Scaling()(_PIXELS)
    assert _PIXELS.tolist() == [[[0, 127, 255]]]
