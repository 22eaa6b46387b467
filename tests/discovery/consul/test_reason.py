import pytest
import requests

from tests.support.canned import canned, nobody
from tfleet.discovery.consul.error_messages import reason


def test_the_system_s_word_is_found_under_the_wrapping() -> None:
    with pytest.raises(requests.RequestException) as raised:
        requests.get(nobody().url, timeout=5)
    assert reason(raised.value) == "Connection refused"


def test_what_the_system_knows_nothing_of_is_told_by_the_innermost_error() -> None:
    with canned(b"") as address, pytest.raises(requests.RequestException) as raised:
        requests.get(address.url, timeout=5)
    assert reason(raised.value) == "Remote end closed connection without response"


def test_an_error_without_words_is_told_by_its_name() -> None:
    assert reason(requests.ConnectionError()) == "ConnectionError"
