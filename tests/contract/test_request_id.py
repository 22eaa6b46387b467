import re

import pytest

from tfleet.contract.request_id import request_id


@pytest.mark.parametrize("sent", ["a", "abc-123_X.y:z/+=@", "x" * 128])
def test_a_harmless_id_is_kept(sent: str) -> None:
    assert request_id(sent) == sent


@pytest.mark.parametrize("sent", [None, "", "x" * 129, "two words", "line\nbreak", "\x1b[31m", "ü"])
def test_any_other_id_is_replaced_by_a_new_one(sent: str | None) -> None:
    first, second = request_id(sent), request_id(sent)
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert first != second
