from __future__ import annotations

import pytest

from tfleet.discovery.embedded.errors import RefusedRequestError
from tfleet.discovery.embedded.requests import parse_filter

_SELECTORS = ("Service.ID", "Service.Port")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", {}),
        ('Service.ID == "w 1"', {"Service.ID": "w 1"}),
        ("Service.ID==w1", {"Service.ID": "w1"}),
        (' Service.ID == "" ', {"Service.ID": ""}),
        ('Service.ID == "a and b" and Service.Port == 80', {"Service.ID": "a and b", "Service.Port": "80"}),
    ],
)
def test_equalities_are_read(text: str, wanted: dict[str, str]) -> None:
    assert parse_filter(text, _SELECTORS) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "Service.ID != w1",
        "Service.ID == w1 or Service.Port == 80",
        "not Service.ID == w1",
        "Service.ID == w1 and",
        "Service.ID == w1 andService.Port == 80",
        "Service.ID == w1 Service.Port == 80",
        "Service.ID == w1 and Service.ID == w2",
        "Service.Tags == a",
        'Service.ID == "w1',
        "bad",
    ],
)
def test_all_else_is_refused_and_what_would_do_is_said(text: str) -> None:
    with pytest.raises(
        RefusedRequestError, match=r'only Service\.ID == "VALUE" and Service\.Port == "VALUE"'
    ):
        parse_filter(text, _SELECTORS)


def test_where_there_is_nothing_to_select_no_filter_is_taken() -> None:
    with pytest.raises(RefusedRequestError, match="filter is not supported by the embedded registry"):
        parse_filter("Service.ID == w1", ())
