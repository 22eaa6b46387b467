"""What has left a moment ago is 503, and what nobody knows 404."""

from __future__ import annotations

import pytest

from tfleet.proxy.balancing.recent_versions import RecentVersions
from tfleet.proxy.balancing.versions import ANY, ModelVersion, Wanted

A1 = ModelVersion("a", "1")


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
    assert not recent.has(wanted)
    recent.add(A1)
    assert recent.has(wanted) is expected


def test_what_has_left_is_forgotten_after_a_minute() -> None:
    clock = Clock()
    recent = RecentVersions(clock)
    recent.add(A1)
    clock.now_s += 59.9
    assert recent.has(Wanted("a"))
    clock.now_s += 0.1
    assert not recent.has(Wanted("a"))


def test_of_too_many_versions_the_first_are_forgotten() -> None:
    recent = RecentVersions(Clock())
    for number in range(1000):
        recent.add(ModelVersion("m", str(number)))
    assert repr(recent) == "<RecentVersions 200>"
    assert recent.has(Wanted("m", "999"))
    assert not recent.has(Wanted("m", "0"))
