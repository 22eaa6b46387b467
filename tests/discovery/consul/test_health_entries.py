"""Single entries of the list that health_json.py parses."""

from typing import Any

import pytest

from tfleet.contract.address import Address
from tfleet.discovery.consul.health_json import from_health_entry, is_passing
from tfleet.discovery.instance import Instance, RejectedEntry

ENTRY: dict[str, Any] = {
    "Node": {"Address": "10.0.0.9"},
    "Service": {
        "ID": "w1",
        "Address": "10.0.0.1",
        "Port": 8000,
        "Meta": {"model": "lite0", "version": "1"},
    },
    "Checks": [{"Status": "passing"}, {"Status": "passing"}],
}


def entry(**service: Any) -> dict[str, Any]:
    return {**ENTRY, "Service": {**ENTRY["Service"], **service}}


def test_a_health_entry_becomes_an_instance() -> None:
    assert from_health_entry(ENTRY) == Instance("w1", Address("10.0.0.1", 8000), "lite0", "1")


def test_a_service_without_an_address_has_its_nodes() -> None:
    found = from_health_entry(entry(Address=""))
    assert isinstance(found, Instance)
    assert found.address == Address("10.0.0.9", 8000)


def test_a_service_without_meta_has_no_model_label() -> None:
    found = from_health_entry(entry(Meta=None))
    assert isinstance(found, Instance)
    assert found.model_label == ""


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"Service": None},
        entry(Port=0),
        entry(Port="80"),
        entry(Port=True),
        entry(Port=65536),
        entry(ID=None),
        {"Service": {"ID": "x", "Port": 1}},
    ],
)
def test_an_unroutable_entry_is_none(broken: dict[str, Any]) -> None:
    assert from_health_entry(broken) is None


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (entry(ID="x\r\nSet-Cookie: a=b"), r"its id is not a valid token: 'x\r\nSet-Cookie: a=b'"),
        (entry(ID="w" * 513), f"its id is not a valid token: '{'w' * 80}...'"),
        (entry(ID=""), "its id is not a valid token: ''"),
        (entry(ID="../../leave"), "its id is not a valid token: '../../leave'"),
        (entry(ID="\u2028"), r"its id is not a valid token: '\u2028'"),
        (entry(Meta={"model": "a\nb"}), r"the model of w1 is not valid plain text: 'a\nb'"),
        (entry(Meta={"kind": "a\nb"}), r"the kind of w1 is not valid plain text: 'a\nb'"),
        (entry(Meta={"version": "1\x1b[2J"}), r"the version of w1 is not valid plain text: '1\x1b[2J'"),
        (entry(Meta={"model": "m" * 257}), f"the model of w1 is not valid plain text: '{'m' * 80}...'"),
        (entry(Address="a..b"), "the address of w1 is not valid plain text: 'a..b'"),
        (entry(Address="h\r\nX: y"), r"the address of w1 is not valid plain text: 'h\r\nX: y'"),
        (entry(Address="a/b"), "the address of w1 is not valid plain text: 'a/b'"),
    ],
)
def test_a_field_that_is_no_plain_text_is_refused_by_name(broken: dict[str, Any], reason: str) -> None:
    assert from_health_entry(broken) == RejectedEntry(broken["Service"]["ID"], reason)


@pytest.mark.parametrize(
    ("checks", "passing"),
    [
        ([], True),
        (None, True),
        ([{"Status": "passing"}], True),
        ([{"Status": "passing"}, {"Status": "critical"}], False),
        ([{"Status": "warning"}], False),
        ([{}], False),
    ],
)
def test_an_entry_passes_only_if_every_check_does(checks: Any, passing: bool) -> None:
    assert is_passing({"Checks": checks}) is passing


def test_invalid_metadata_is_ignored() -> None:
    found = from_health_entry(entry(Meta=["x"]))
    assert isinstance(found, Instance)
    assert found.model_label == ""


@pytest.mark.parametrize("checks", [["passing"], [None], {"Status": "passing"}, "passing", 7])
def test_an_invalid_check_does_not_pass(checks: object) -> None:
    assert not is_passing({**ENTRY, "Checks": checks})


@pytest.mark.parametrize(
    ("tagged", "wan"),
    [
        ({"wan": {"Address": "203.0.113.9", "Port": 32768}}, Address("203.0.113.9", 32768)),
        ({"wan": {"Address": "0.0.0.0", "Port": 32768}}, Address("0.0.0.0", 32768)),
        ({"wan_ipv4": {"Address": "10.0.0.1", "Port": 8000}}, None),
        ({"wan": {"Address": "", "Port": 32768}}, None),
        ({"wan": {"Address": "203.0.113.9", "Port": 0}}, None),
        ({"wan": "203.0.113.9"}, None),
        ("wan", None),
        (None, None),
    ],
)
def test_an_outside_address_is_only_the_one_that_was_set(tagged: object, wan: Address | None) -> None:
    found = from_health_entry(entry(TaggedAddresses=tagged))
    assert isinstance(found, Instance)
    assert found.wan == wan
