"""A picture may have so many pixels, and no side longer than a JPEG's."""

import pytest

from tfleet.worker.image.errors import TooManyPixelsError
from tfleet.worker.image.limits import MAX_SIDE, ImageLimits


def test_a_picture_of_exactly_the_limit_is_allowed() -> None:
    ImageLimits(max_pixels=100).check(10, 10)


def test_one_pixel_row_more_is_refused_and_the_setting_is_named() -> None:
    with pytest.raises(TooManyPixelsError, match="10 x 11 pixels and --max-pixels allows 100"):
        ImageLimits(max_pixels=100).check(10, 11)


def test_the_cameras_in_use_are_allowed_at_full_resolution() -> None:
    ImageLimits().check(8192, 6144)


def test_a_side_longer_than_any_camera_makes_is_refused() -> None:
    ImageLimits().check(MAX_SIDE, 1)
    with pytest.raises(TooManyPixelsError, match="65536 x 1 pixels"):
        ImageLimits().check(MAX_SIDE + 1, 1)
