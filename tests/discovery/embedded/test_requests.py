from __future__ import annotations

import pytest

from tfleet.discovery.embedded.errors import RefusedRequestError
from tfleet.discovery.embedded.requests import ReadQuery, parse_filter

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
def test_filters_with_equalities_are_read(text: str, wanted: dict[str, str]) -> None:
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
def test_an_unsupported_filter_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(
        RefusedRequestError, match=r'only Service\.ID == "VALUE" and Service\.Port == "VALUE"'
    ):
        parse_filter(text, _SELECTORS)


def test_a_query_without_selectors_takes_no_filter() -> None:
    with pytest.raises(RefusedRequestError, match="filter is not supported by the embedded registry"):
        parse_filter("Service.ID == w1", ())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ReadQuery(0, 300.0, passing=False)),
        ({"index": "", "wait": "", "dc": "", "filter": ""}, ReadQuery()),
        ({"index": "7", "wait": "10s", "dc": "dc1"}, ReadQuery(7, 10.0)),
        ({"index": "18446744073709551615"}, ReadQuery(2**64 - 1)),
        ({"index": "0" * 5000 + "7"}, ReadQuery(7)),
        ({"index": "000"}, ReadQuery(0)),
        ({"wait": "1h"}, ReadQuery(wait_s=600.0)),
        ({"wait": "0s"}, ReadQuery(wait_s=300.0)),
        ({"wait": "-5s"}, ReadQuery(wait_s=300.0)),
        ({"passing": ""}, ReadQuery(passing=True)),
        ({"passing": "T"}, ReadQuery(passing=True)),
        ({"passing": "False"}, ReadQuery(passing=False)),
        ({"stale": "", "near": "_agent"}, ReadQuery()),
    ],
)
def test_query_parameters_are_read(query: dict[str, str], expected: ReadQuery) -> None:
    assert ReadQuery.parse(query) == expected


def test_a_query_with_selectors_takes_a_filter() -> None:
    query = ReadQuery.parse({"filter": "CheckID == c"}, selectors=("CheckID",))
    assert query == ReadQuery(wanted={"CheckID": "c"})


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ({"index": "x"}, 400, "Invalid index"),
        ({"index": "-1"}, 400, "Invalid index"),
        ({"index": "\u0667"}, 400, "Invalid index"),
        ({"index": "18446744073709551616"}, 400, "Invalid index"),
        ({"index": "9" * 5000}, 400, "Invalid index"),
        ({"wait": "10"}, 400, "Invalid wait time"),
        ({"passing": "yes"}, 400, "Invalid value for ?passing"),
        ({"dc": "dc2"}, 500, "No path to datacenter"),
        ({"filter": "Service.ID == x"}, 400, "?filter is not supported by the embedded registry"),
        ({"tag": "a"}, 400, "?tag is not supported by the embedded registry"),
        ({"node-meta": "a:b"}, 400, "?node-meta is not supported by the embedded registry"),
    ],
)
def test_a_wrong_query_is_refused(query: dict[str, str], status: int, message: str) -> None:
    with pytest.raises(RefusedRequestError) as raised:
        ReadQuery.parse(query)
    assert (raised.value.status, str(raised.value)) == (status, message)
