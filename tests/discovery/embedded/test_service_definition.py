from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.discovery.embedded.errors import RefusedRequestError
from tfleet.discovery.embedded.limits import RegistryLimits
from tfleet.discovery.embedded.model import (
    CheckDefinition,
    HttpProbe,
    Service,
    ServiceDefinition,
    TaggedAddress,
    Weights,
)
from tfleet.discovery.embedded.service_definition import parse_registration


def _parse(value: object) -> ServiceDefinition:
    return parse_registration(json.dumps(value).encode(), RegistryLimits(), registrant="10.0.0.5")


def _checks(**fields: Any) -> tuple[CheckDefinition, ...]:
    return _parse({"Name": "n", **fields}).checks


def test_a_service_needs_only_a_name() -> None:
    assert _parse({"name": "n"}) == ServiceDefinition(Service("n", "n"))


def test_every_field_is_read() -> None:
    registration = _parse(
        {
            "Name": "n",
            "ID": "i",
            "Address": " 10.0.0.1 ",
            "Port": 80,
            "Tags": ["a"],
            "Meta": {"k": "v"},
            "TaggedAddresses": {"lan": {"Address": "10.0.0.2", "Port": 81}},
            "Weights": {"Passing": 5, "Warning": 2},
            "EnableTagOverride": True,
            "Token": "ignored",
            "Kind": "",
            "Connect": {},
            "Check": {
                "TTL": "10s",
                "Status": "passing",
                "Notes": "x",
                "DeregisterCriticalServiceAfter": "2m",
            },
        }
    )
    own = TaggedAddress("10.0.0.1", 80)
    tagged = {"lan_ipv4": own, "wan_ipv4": own, "lan": TaggedAddress("10.0.0.2", 81)}
    assert registration.service == Service(
        "i", "n", "10.0.0.1", 80, ("a",), {"k": "v"}, tagged, Weights(5, 2), enable_tag_override=True
    )
    assert registration.checks == (
        CheckDefinition("service:i", "Service 'n' check", 10.0, "passing", "x", 120.0),
    )


@pytest.mark.parametrize(
    ("address", "tags"),
    [
        ("127.0.0.1", {"lan_ipv4", "wan_ipv4"}),
        ("::1", {"lan_ipv6", "wan_ipv6"}),
        ("example.org", set()),
        ("", set()),
    ],
)
def test_ip_addresses_are_tagged_by_version(address: str, tags: set[str]) -> None:
    assert set(_parse({"Name": "n", "Address": address}).service.tagged_addresses) == tags


def test_one_check_has_a_plain_id_and_several_are_numbered() -> None:
    ttl = {"TTL": "1s"}
    assert [check.id for check in _checks(Check=ttl)] == ["service:n"]
    assert [check.id for check in _checks(Checks=[ttl])] == ["service:n"]
    assert [check.id for check in _checks(Check=ttl, Checks=[ttl])] == ["service:n:1", "service:n:2"]
    assert [check.id for check in _checks(Checks=[ttl | {"CheckID": "c"}, ttl])] == ["c", "service:n:2"]


@pytest.mark.parametrize("check", [None, {}, {"TTL": None}, {"TTL": ""}])
def test_an_empty_single_check_is_none(check: object) -> None:
    assert _checks(Check=check) == ()


@pytest.mark.parametrize(("after", "seconds"), [("1s", 60), ("1m", 60), ("90s", 90), ("0s", 0), (None, 0)])
def test_deregistration_waits_a_minute_at_least(after: str | None, seconds: float) -> None:
    (check,) = _checks(Check={"TTL": "1s", "DeregisterCriticalServiceAfter": after})
    assert check.deregister_after_s == seconds


def test_a_number_is_a_ttl_in_nanoseconds() -> None:
    assert _checks(Check={"TTL": 5e9})[0].ttl_s == 5


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"Name": "n" * 257}, "Invalid service name: longer than 256 characters"),
        ({"Name": "n", "ID": "i" * 257}, "Invalid service ID: longer than 256 characters"),
        (
            {"Name": "n", "Check": {"TTL": "1s", "CheckID": "c" * 257}},
            "Invalid check ID: longer than 256 characters",
        ),
        ({"Name": "n", "Kind": "connect-proxy"}, "'kind' is not supported by the embedded registry"),
        (
            {"Name": "n", "Check": {"TCP": "x:1", "Interval": "5s"}},
            "Invalid check: the embedded registry has TTL and plain HTTP checks only",
        ),
        (
            {"Name": "n", "Check": {"HTTP": "http://x", "Interval": "5s", "Method": "POST"}},
            "Invalid check: the embedded registry has TTL and plain HTTP checks only",
        ),
        (
            {"Name": "n", "Check": {"HTTP": "http://x", "Interval": "5s", "TTL": "5s"}},
            "Invalid check: the embedded registry takes either TTL or HTTP, not both",
        ),
        ({"Name": "n", "Check": {"TTL": "-1s"}}, "Invalid check: TTL must be > 0 for TTL checks"),
        (
            {"Name": "n", "Check": {"TTL": True}},
            "Request decode failed: ttl must be a duration, not a boolean",
        ),
        ({"Name": "n", "Check": {"TTL": [1]}}, "Request decode failed: ttl must be a duration, not a list"),
        ({"Name": "n", "Check": {"TTL": 1e300}}, "Request decode failed: time: invalid duration 1e+300"),
        ({"Name": "n", "Check": []}, "Request decode failed: a check must be an object, not a list"),
        ({"Name": "n", "Checks": {}}, "Request decode failed: checks must be a list, not an object"),
        ({"Name": "n", "Port": 1.5}, "Request decode failed: port must be a whole number, not a number"),
        ({"Name": "n", "Port": True}, "Request decode failed: port must be a whole number, not a boolean"),
        ({"Name": "n", "Port": 2**63}, "Request decode failed: port must be a whole number, not a number"),
        ({"Name": "n", "Meta": "x"}, "Request decode failed: meta must be an object, not a string"),
        (
            {"Name": "n", "EnableTagOverride": 1},
            "Request decode failed: enabletagoverride must be true or false, not a number",
        ),
        (
            {"Name": "n", "Weights": {"Passing": 1, "Warning": -1}},
            "Invalid Weights: Warning must be greater or equal than 0",
        ),
        (
            {"Name": "n", "Weights": {"Passing": 65536}},
            "Invalid Weights: Passing and Warning must be at most 65535",
        ),
        (["n"], "Request decode failed: the body must be an object, not a list"),
        (5, "Request decode failed: the body must be an object, not a number"),
    ],
)
def test_a_wrong_service_definition_is_refused(value: object, message: str) -> None:
    with pytest.raises(RefusedRequestError) as raised:
        _parse(value)
    assert (raised.value.status, str(raised.value)) == (400, message)


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        ({"Interval": "5s"}, HttpProbe("http://x/", 5.0, 10.0, "10.0.0.5")),
        ({"Interval": "10ms", "Timeout": "3s"}, HttpProbe("http://x/", 1.0, 3.0, "10.0.0.5")),
        ({"Interval": "2s", "Timeout": "-1s"}, HttpProbe("http://x/", 2.0, 10.0, "10.0.0.5")),
    ],
)
def test_an_http_check_has_consuls_minimum_and_default(said: dict[str, str], understood: HttpProbe) -> None:
    (check,) = _parse({"Name": "n", "Check": {"HTTP": "http://x/"} | said}).checks
    assert (check.http, check.ttl_s, check.status) == (understood, math.inf, "critical")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 60_000, b'{"Port":' + b"9" * 5000 + b"}"])
def test_text_that_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(RefusedRequestError, match=r"^Request decode failed: "):
        parse_registration(body, RegistryLimits(), registrant="10.0.0.5")


def test_strings_that_utf8_cannot_hold_are_made_harmless() -> None:
    service = parse_registration(
        rb'{"Name": "a\ud800b", "Tags": ["\udfff"]}', RegistryLimits(), registrant="10.0.0.5"
    ).service
    assert (service.name, service.tags) == ("a?b", ("?",))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
_FIELDS = st.sampled_from(["Name", "ID", "Port", "Tags", "Meta", "Weights", "Check", "Checks", "Address"])


@given(st.dictionaries(_FIELDS, _JSON) | _JSON)
def test_any_json_is_a_registration_or_refused(value: object) -> None:
    with suppress(RefusedRequestError):
        assert _parse(value).service.name
