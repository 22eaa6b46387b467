"""A shape says how images are laid out, or that they are none."""

from typing import Any

import pytest

from tfleet.worker.model.pixel_layout import PixelLayout, pixel_layout


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((None, 8, 9, 3), PixelLayout(True, None, 8, 9, 3)),
        ((4, 8, 9, 1), PixelLayout(True, 4, 8, 9, 1)),
        ((None, 3, 8, 9), PixelLayout(True, None, 8, 9, 3, channels_first=True)),
        ((None, 1, 28, 28), PixelLayout(True, None, 28, 28, 1, channels_first=True)),
        ((8, 9, 4), PixelLayout(False, 1, 8, 9, 4)),
        ((None, None, None, None), PixelLayout(True, None, None, None, 3)),
        (None, PixelLayout(True, None, None, None, 3)),
        ((None, 8, 9, 2), None),
        ((None, 784), None),
        ((None, 8, 32, 32, 3), None),
    ],
)
def test_a_shape_is_read(shape: Any, layout: PixelLayout | None) -> None:
    assert pixel_layout(shape) == layout
