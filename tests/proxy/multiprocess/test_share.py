from dataclasses import replace

from tests.proxy.stand_in import CLIENT_LIMITS, settings
from tfleet.contract.address import Address
from tfleet.proxy.multiprocess.shared_port import share

HERE = Address("127.0.0.1", 1234)


def test_the_shares_add_up_to_the_proxys_limits() -> None:
    clients = replace(CLIENT_LIMITS, max_connections=1000)
    whole = settings(client_limits=clients, replay_total_bytes=1_000_001, retry_floor_per_s=10.0)
    parts = [share(whole, number, 3, HERE) for number in (1, 2, 3)]
    assert [part.client_limits.max_connections for part in parts] == [334, 333, 333]
    assert sum(part.limits.replay_total_bytes for part in parts) == 1_000_001
    assert sum(part.limits.retry_floor_per_s for part in parts) == 10.0
    assert parts[0].limits.retry_share == whole.limits.retry_share, "of its own requests"
    assert parts[0].limits.replay_bytes == whole.limits.replay_bytes
    assert parts[0].client_limits.idle_timeout_s == clients.idle_timeout_s
    assert {part.address for part in parts} == {HERE}
