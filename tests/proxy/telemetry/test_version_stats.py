"""Requests are counted by the version that answered, for a bounded number of versions."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.proxy.telemetry.version_stats import MAX_VERSIONS, VersionStats


def worker(model: str, version: str) -> Instance:
    return Instance("w", Address("h", 1), model, version)


def lines(stats: VersionStats) -> list[str]:
    registry = CollectorRegistry()
    registry.register(stats)
    return generate_latest(registry).decode().splitlines()


def test_requests_are_counted_by_version_and_status() -> None:
    stats = VersionStats()
    for status, seconds in ((200, 0.001), (204, 0.4), (404, 0.4), (502, 99.0), (499, 1.0)):
        stats.ended(worker("m", "1"), status, seconds)
    stats.ended(worker("m", "2"), 200, 0.5)
    found = lines(stats)
    for shown, count in (("2xx", 2), ("4xx", 1), ("5xx", 1), ("499", 1)):
        line = f'tfleet_proxy_version_requests_total{{model="m",status="{shown}",version="1"}} {count}.0'
        assert line in found
    assert len([line for line in found if line.startswith("tfleet_proxy_version_requests_total{")]) == 5
    for le, count in (("0.001", 1), ("0.25", 1), ("0.5", 3), ("30.0", 4), ("+Inf", 5)):
        labels = f'le="{le}",model="m",version="1"'
        assert f"tfleet_proxy_version_request_seconds_bucket{{{labels}}} {count}.0" in found
    assert 'tfleet_proxy_version_request_seconds_sum{model="m",version="2"} 0.5' in found


@pytest.mark.parametrize("status", [100, 199, 300, 599])
def test_any_status_of_http_is_counted(status: int) -> None:
    stats = VersionStats()
    stats.ended(worker("m", "1"), status, 0.1)
    assert f'status="{status // 100}xx"' in "".join(lines(stats))


def test_beyond_the_limit_the_least_recent_version_goes() -> None:
    """A fleet that gets a new version each night goes on to show the ones that it serves."""
    stats = VersionStats()
    for number in range(MAX_VERSIONS + 3):
        stats.ended(worker("m", str(number)), 200, 0.1)
        stats.ended(worker("m", "1"), 200, 0.1)
    found = [line for line in lines(stats) if "requests_total{" in line]
    assert len(found) == MAX_VERSIONS
    for version, shown in (("0", False), ("1", True), ("2", False), (str(MAX_VERSIONS + 2), True)):
        assert any(f'version="{version}"' in line for line in found) is shown, version
