import pytest
from werkzeug.datastructures import MultiDict

from tfleet.worker.api.classify import wanted_labels
from tfleet.worker.api.problems import ProblemError


def wanted(*query: tuple[str, str], classes: int = 10) -> int:
    return wanted_labels(MultiDict(query), classes)


def refusal(*query: tuple[str, str]) -> str:
    with pytest.raises(ProblemError) as refused:
        wanted(*query)
    assert refused.value.problem.status == 400
    assert refused.value.problem.detail.isprintable()
    return refused.value.problem.detail


def test_the_default_is_five_labels_or_all() -> None:
    assert wanted() == 5
    assert wanted(classes=3) == 3


@pytest.mark.parametrize("top", [1, 10])
def test_top_goes_up_to_the_number_of_classes(top: int) -> None:
    assert wanted(("top", str(top))) == top


@pytest.mark.parametrize("asked", ["0", "11", "-1", "1.5", "", "x", "9" * 5000, "1\n2"])
def test_another_top_is_named_with_its_range(asked: str) -> None:
    assert refusal(("top", asked)).startswith(f"?top= is {asked[:20]!r}, not a number from 1 to 10,")


def test_unknown_parameters_are_named() -> None:
    assert "has 'topn', which" in refusal(("topn", "1"))
    assert "has 'a\\r\\nb', which" in refusal(("a\r\nb", "1"), ("top", "2"))
    assert "has 'a', 'b', 'c' and 2 more, which" in refusal(*((name, "") for name in "edcba"))


def test_top_is_said_once() -> None:
    assert "2 times" in refusal(("top", "1"), ("top", "1"))


def test_a_ticket_may_be_there_and_twice() -> None:
    assert wanted(("ticket", "the proxy's"), ("ticket", "a client's"), ("top", "2")) == 2
