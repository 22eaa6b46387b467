import threading

from tfleet.worker.image.limits import PixelBudget


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
