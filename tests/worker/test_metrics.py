from tfleet.worker.metrics import StageTimes


def test_the_header_has_the_form_of_server_timing() -> None:
    timing = StageTimes(decode_ms=2.04, queue_ms=0, infer_ms=8.26, batch=1)
    assert timing.header() == "decode;dur=2.0, queue;dur=0.0, infer;dur=8.3"
