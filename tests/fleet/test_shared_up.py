"""`tfleet up --host`: a fleet of one machine that others in its network use."""

import json

import pytest

from tests.support.tfleet_up import curl, up
from tests.support.waiting import eventually_sync
from tfleet.contract.address import Address
from tfleet.discovery.registration.advertise import network_address

OWN = network_address()


@pytest.mark.skipif(OWN is None, reason="this machine has no network")
def test_others_in_the_network_reach_proxy_and_workers() -> None:
    of_workers = ("--max-batch", "1", "--precision", "float32")
    of_both = ("--max-body-bytes", "1000000")
    with up("--host", "0.0.0.0", "--mode", "p2p", *of_workers, *of_both, workers=1) as fleet:
        proxy = f"{OWN}:{fleet.proxy.port}"
        eventually_sync(lambda: f"Other machines find it at {proxy}." in fleet.said)
        worker = Address.parse(curl(f"curl -s {proxy}").strip())
        assert worker.host == OWN
        ranking = json.loads(curl(f'curl -s {worker} -F "data=@cat.jpg"'))
        assert ranking[0][0] == "tiger cat"
        assert '"batch_sizes": [1]' in fleet.said, "the workers have their options"
        assert fleet.pids("--max-body-bytes") == fleet.pids("worker") | fleet.pids("proxy")
