import pytest

from tfleet.proxy.balancing.outlier_detection import ErrorCount, FailureCount

CASES = {
    "three different ones": ("abc", 3),
    "the same one again and again": ("aaaaaa", None),
    "two in turn": ("ababab", None),
    "the same one in between": ("aabbbc", 6),
    "an answer in between": ("ab.cd", None),
    "three after an answer": ("ab.cde", 6),
    "three, and the count is at its beginning": ("abcde", 3),
}


@pytest.mark.parametrize(("bodies", "out_at"), CASES.values(), ids=CASES.keys())
def test_a_worker_is_ejected_at_the_third_different_body(bodies: str, out_at: int | None) -> None:
    strikes, out = FailureCount(), []
    for number, body in enumerate(bodies, start=1):
        if body == ".":
            strikes.reset("w1")
        elif strikes.add("w1", body):
            out.append(number)
    assert out == ([] if out_at is None else [out_at])


def test_each_worker_has_a_count_of_its_own() -> None:
    strikes = FailureCount()
    found = [strikes.add(worker, body) for body in "ab" for worker in ("w1", "w2")]
    assert found == [False] * 4
    strikes.reset("w2")
    assert strikes.add("w1", "c")
    assert not strikes.add("w2", "c")


def test_five_errors_in_a_row_eject_a_worker() -> None:
    errors = ErrorCount()
    found = [errors.add("w1", status) for status in (500, 502, 500, 500, 200, 500, 500, 500, 500, 599, 500)]
    assert found == [*[False] * 9, True, False]


def test_a_dropped_worker_begins_without_errors() -> None:
    errors = ErrorCount()
    assert [errors.add("w1", 500) for _ in range(4)] == [False] * 4
    errors.reset("w1")
    assert not errors.add("w1", 500)
