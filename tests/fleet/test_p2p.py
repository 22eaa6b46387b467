"""p2p mode: the proxy says where, and the image goes past it."""

import json
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.relay import relay
from tests.support.tfleet_up import BEST, PHOTOS, Up, ports_with, up
from tests.support.waiting import eventually_sync
from tfleet.client import FleetClient
from tfleet.contract.address import Address


@pytest.fixture(scope="module")
def p2p_fleet(registry: tuple[str, Address]) -> Iterator[Up]:
    with up("--mode", "p2p", "--registry", registry[0], ports=ports_with(registry[0])) as running:
        yield running


def test_up_prints_the_curl_line_of_p2p_mode(p2p_fleet: Up) -> None:
    said = eventually_sync(lambda: p2p_fleet.said, wanted=lambda text: "curl -" in text)
    assert p2p_fleet.own('curl -v -XPOST $(curl -s localhost:12480) -F "data=@tests/data/cat.jpg"') in said


@pytest.mark.parametrize("photo", BEST)
def test_the_documented_curl_works_verbatim(p2p_fleet: Up, photo: str) -> None:
    line = 'curl -v -XPOST $(curl -s localhost:12480) -F "data=@cat.jpg"'
    label, probability = BEST[photo]
    best = json.loads(p2p_fleet.curl(line.replace("cat.jpg", f"{photo}.jpg")))[0]
    assert best == [label, pytest.approx(probability, abs=0.01)]


def test_lookups_take_turns(p2p_fleet: Up) -> None:
    shares = Counter(p2p_fleet.curl("curl -s localhost:12480") for _ in range(10))
    assert list(shares.values()) == [5, 5]
    assert shares.keys() == {f"{row['address']}\n" for row in p2p_fleet.workers()}


def test_curl_that_follows_a_redirect_uploads_to_the_worker(p2p_fleet: Up) -> None:
    ranking = json.loads(p2p_fleet.curl("curl -s -L -F data=@cat.jpg localhost:12480"))
    assert ranking[0][0] == "tiger cat"


def test_no_byte_of_an_image_passes_the_proxy(p2p_fleet: Up) -> None:
    images = 20
    with relay(p2p_fleet.proxy) as witness:
        with FleetClient(witness.address.url, p2p=True) as client:
            for _ in range(images):
                found = client.classify(PHOTOS / "cat.jpg")
                assert found.predictions[0].label == "tiger cat"
        lookups_only = witness.received_bytes
        p2p_fleet.curl(f'curl -s -XPOST $(curl -s {witness.address}) -F "data=@cat.jpg"')
        curl_lookup = witness.received_bytes - lookups_only
    size = (PHOTOS / "cat.jpg").stat().st_size
    assert 0 < lookups_only < images * 400, "some 200 bytes of head for each lookup, and nothing else"
    assert 0 < curl_lookup < 400 < size
    assert (
        "tfleet_proxy_received_bytes_total 0.0"
        in p2p_fleet.curl("curl -s localhost:12480/metrics").splitlines()
    )
