from tfleet.proxy.forwarding.replay_buffer import ReplayMemory


def test_one_request_gets_no_more_than_its_own_limit() -> None:
    memory = ReplayMemory(per_request_bytes=10, total_bytes=100)
    assert memory.reserve(0, 6)
    assert not memory.reserve(6, 5)
    assert memory.reserve(6, 4)
    assert memory.used_bytes == 10


def test_all_requests_together_get_no_more_than_the_total() -> None:
    memory = ReplayMemory(per_request_bytes=10, total_bytes=15)
    assert memory.reserve(0, 10)
    assert not memory.reserve(0, 6)
    memory.release(10)
    assert memory.reserve(0, 6)
    assert repr(memory) == "<ReplayMemory used=6 of 15>"
