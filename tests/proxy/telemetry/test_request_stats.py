from prometheus_client import CollectorRegistry, generate_latest

from tfleet.proxy.telemetry.request_stats import RequestStats


def lines(stats: RequestStats) -> list[str]:
    registry = CollectorRegistry()
    registry.register(stats)
    return generate_latest(registry).decode().splitlines()


def test_answers_are_counted_by_route_status_and_time() -> None:
    stats = RequestStats()
    for seconds in (0.001, 0.0011, 0.4, 99.0):
        stats.answered("/", 200, seconds)
    stats.answered("/predict", 503, 0.5)
    stats.refused("malformed", 400)
    found = lines(stats)
    assert 'tfleet_proxy_requests_total{route="/",status="200"} 4.0' in found
    assert 'tfleet_proxy_requests_total{route="/predict",status="503"} 1.0' in found
    assert 'tfleet_proxy_requests_total{route="malformed",status="400"} 1.0' in found
    for le, count in (("0.001", 1), ("0.0025", 2), ("0.25", 2), ("0.5", 3), ("30.0", 3), ("+Inf", 4)):
        assert f'tfleet_proxy_request_seconds_bucket{{le="{le}",route="/"}} {count}.0' in found
    assert 'tfleet_proxy_request_seconds_count{route="/"} 4.0' in found
    assert 'tfleet_proxy_request_seconds_sum{route="/predict"} 0.5' in found
    assert not [line for line in found if "seconds" in line and "malformed" in line]


def test_bytes_are_counted_both_ways() -> None:
    stats = RequestStats()
    stats.received_bytes += 7
    stats.sent_bytes += 9
    assert "tfleet_proxy_received_bytes_total 7.0" in lines(stats)
    assert "tfleet_proxy_sent_bytes_total 9.0" in lines(stats)
