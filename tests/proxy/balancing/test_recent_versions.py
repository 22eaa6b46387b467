"""What has left a moment ago is 503, and what nobody knows 404."""

from __future__ import annotations

import pytest

from tfleet.proxy.balancing.recent_versions import RecentVersions
from tfleet.proxy.balancing.versions import ANY, ModelVersion, Wanted

A1, A2, B1 = ModelVersion("a", "1"), ModelVersion("a", "2"), ModelVersion("b", "1")


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted("a", "1"), True),
        (Wanted("a"), True),
        (Wanted("a", "2"), False),
        (Wanted("b"), False),
        (ANY, False),
    ],
)
def test_what_has_left_is_remembered(wanted: Wanted, expected: bool) -> None:
    recent = RecentVersions(Clock())
    recent.update([A1, B1])
    assert not recent.has(wanted)
    recent.update([B1])
    assert recent.has(wanted) is expected


def test_what_has_left_is_forgotten_after_a_minute() -> None:
    clock = Clock()
    recent = RecentVersions(clock)
    recent.update([A1])
    recent.update([])
    clock.now_s += 59.9
    assert recent.has(Wanted("a"))
    recent.update([A2])
    assert recent.has(Wanted("a", "1")), "others that come change nothing"
    clock.now_s += 0.1
    assert not recent.has(Wanted("a", "1"))


def test_what_comes_back_is_not_gone() -> None:
    recent = RecentVersions(Clock())
    for there in ([A1], [], [A1]):
        recent.update(there)
    assert not recent.has(Wanted("a"))


def test_so_many_versions_are_remembered() -> None:
    recent = RecentVersions(Clock())
    recent.update([ModelVersion("m", str(number)) for number in range(1000)])
    recent.update([])
    assert repr(recent) == "<RecentVersions gone=200>"
