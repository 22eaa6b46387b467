from tfleet.proxy.forwarding.replay_buffer import ReplayBudget, RequestBody


def test_one_request_gets_no_more_than_its_own_limit() -> None:
    memory = ReplayBudget(per_request_bytes=10, total_bytes=100)
    assert memory.reserve(0, 6)
    assert not memory.reserve(6, 5)
    assert memory.reserve(6, 4)
    assert memory.used_bytes == 10


def test_all_requests_together_get_no_more_than_the_total() -> None:
    memory = ReplayBudget(per_request_bytes=10, total_bytes=15)
    assert memory.reserve(0, 10)
    assert not memory.reserve(0, 6)
    memory.release(10)
    assert memory.reserve(0, 6)
    assert repr(memory) == "<ReplayBudget used=6 of 15>"


def test_a_body_is_replayable_while_it_fits_in_memory() -> None:
    memory = ReplayBudget(5, 100)
    upload = RequestBody(memory, chunked=False)
    assert upload.repeatable
    upload.add(b"abc")
    upload.add(b"de")
    assert (upload.kept, upload.repeatable, memory.used_bytes) == ([b"abc", b"de"], True, 5)
    upload.add(b"f")
    assert (upload.kept, upload.repeatable, memory.used_bytes) == ([], False, 0)
    upload.add(b"")
    assert (upload.received_bytes, upload.repeatable) == (6, False), "it never becomes so again"


def test_a_discarded_body_is_returned_to_the_budget_once() -> None:
    memory = ReplayBudget(5, 8)
    one, other = RequestBody(memory, chunked=False), RequestBody(memory, chunked=True)
    one.add(b"abcde")
    other.add(b"abc")
    one.forget()
    one.forget()
    assert memory.used_bytes == 3
    assert other.repeatable
