"""A picture may have so many pixels, and no side longer than a JPEG's."""

import threading

import pytest

from tfleet.worker.image.errors import TooManyPixelsError
from tfleet.worker.image.limits import MAX_SIDE, ImageLimits, PixelBudget


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


def test_pictures_that_fit_are_held_together() -> None:
    budget = PixelBudget()
    with budget.hold(4, total=10), budget.hold(6, total=10):
        assert repr(budget) == "<PixelBudget held=10>"
    assert repr(budget) == "<PixelBudget held=0>"


def test_a_picture_that_does_not_fit_waits() -> None:
    budget = PixelBudget()
    entered = threading.Event()

    def second() -> None:
        with budget.hold(5, total=10):
            entered.set()

    thread = threading.Thread(target=second)
    with budget.hold(6, total=10):
        thread.start()
        assert not entered.wait(0.05)
    assert entered.wait(10)
    thread.join()


def test_one_alone_may_hold_more_than_the_total() -> None:
    with PixelBudget().hold(20, total=10):
        pass


def test_a_failed_picture_holds_nothing() -> None:
    budget = PixelBudget()
    try:
        with budget.hold(6, total=10):
            raise ZeroDivisionError
    except ZeroDivisionError:
        assert repr(budget) == "<PixelBudget held=0>"
