import pytest

from tfleet.contract.names import whole_number


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("007", 7), ("9" * 15, 10**15 - 1)])
def test_a_whole_number_is_read(text: str, number: int) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.5", "1e3", " 1", "٣", "9" * 16, "9" * 5000])
def test_any_other_text_is_no_whole_number(text: str) -> None:
    assert whole_number(text) is None
