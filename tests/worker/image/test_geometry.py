"""Which part of a picture a model looks at."""

import numpy as np
import pytest

from tfleet.worker.image.geometry import Geometry, Scaling


@pytest.mark.parametrize(
    ("geometry", "size", "box"),
    [
        (Geometry(224, 224), (600, 400), (0, 0, 600, 400)),
        (Geometry(224, 224, crop=1), (600, 400), (100, 0, 500, 400)),
        (Geometry(224, 224, crop=0.875), (600, 400), (125, 25, 475, 375)),
        (Geometry(224, 224, crop=0.875), (400, 600), (25, 125, 375, 475)),
        (Geometry(100, 200, crop=1), (600, 600), (0, 150, 600, 450)),
        (Geometry(200, 100, crop=0.5), (600, 600), (225, 150, 375, 450)),
        (Geometry(224, 224, crop=0.1), (1, 1), (0, 0, 1, 1)),
    ],
)
def test_the_box_is_centred_with_the_models_aspect_ratio(
    geometry: Geometry, size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    assert geometry.box(*size) == box


@pytest.mark.parametrize("size", [(1, 50_000), (50_000, 1), (2, 3)])
def test_the_box_never_leaves_the_picture(size: tuple[int, int]) -> None:
    left, top, right, bottom = Geometry(224, 100, crop=1).box(*size)
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]


def test_a_picture_on_its_side_swaps_height_and_width() -> None:
    assert Geometry(100, 200, 0.5, "bicubic").transposed() == Geometry(200, 100, 0.5, "bicubic")


_PIXELS = np.array([[[0, 127, 255]]], dtype=np.uint8)


def test_the_default_is_from_0_to_1() -> None:
    scaled = Scaling()(_PIXELS)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, [[[0, 127 / 255, 1]]], rtol=1e-6)


def test_the_mean_is_taken_off_before_the_division() -> None:
    np.testing.assert_array_equal(Scaling((127,), (128,))(_PIXELS), [[[-127 / 128, 0, 1]]])


def test_each_channel_may_have_its_own() -> None:
    np.testing.assert_array_equal(Scaling((1, 27, 55), (1, 10, 100))(_PIXELS), [[[-1, 10, 2]]])


def test_scaling_does_not_change_the_input() -> None:
    Scaling()(_PIXELS)
    assert _PIXELS.tolist() == [[[0, 127, 255]]]
