import pytest
import requests

from tests.support.canned import canned, nobody
from tfleet.discovery.consul.error_messages import reason


def test_the_systems_message_is_found_in_the_cause() -> None:
    with pytest.raises(requests.RequestException) as raised:
        requests.get(nobody().url, timeout=5)
    assert reason(raised.value) == "Connection refused"


def test_other_errors_are_described_by_their_root_cause() -> None:
    with canned(b"") as address, pytest.raises(requests.RequestException) as raised:
        requests.get(address.url, timeout=5)
    assert reason(raised.value) == "Remote end closed connection without response"


def test_an_error_without_text_is_named_by_its_type() -> None:
    assert reason(requests.ConnectionError()) == "ConnectionError"
