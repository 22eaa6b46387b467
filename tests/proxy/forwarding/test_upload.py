from tfleet.proxy.forwarding.replay_buffer import ReplayMemory, Upload


def test_a_body_is_replayable_while_it_fits_in_memory() -> None:
    memory = ReplayMemory(5, 100)
    upload = Upload(memory, chunked=False)
    assert upload.repeatable
    upload.add(b"abc")
    upload.add(b"de")
    assert (upload.kept, upload.repeatable, memory.used_bytes) == ([b"abc", b"de"], True, 5)
    upload.add(b"f")
    assert (upload.kept, upload.repeatable, memory.used_bytes) == ([], False, 0)
    upload.add(b"")
    assert (upload.received_bytes, upload.repeatable) == (6, False), "it never becomes so again"


def test_a_discarded_body_is_returned_to_the_budget_once() -> None:
    memory = ReplayMemory(5, 8)
    one, other = Upload(memory, chunked=False), Upload(memory, chunked=True)
    one.add(b"abcde")
    other.add(b"abc")
    one.forget()
    one.forget()
    assert memory.used_bytes == 3
    assert other.repeatable
