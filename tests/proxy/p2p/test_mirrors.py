"""A proxy in p2p mode warns of each share that it can't mirror, and only once."""

from __future__ import annotations

from dataclasses import replace

from structlog.testing import capture_logs

from tfleet.discovery.plan import Canary, Plan
from tfleet.discovery.plan_watch import Plans
from tfleet.proxy.p2p.mirrors import MirrorWarnings
from tfleet.proxy.settings import ModeSettings


def plans(**mirrored: float) -> Plans:
    """A plan for each model, whose canary gets copies of so many percent."""
    return Plans({model: Plan("1", Canary("2", mirror=percent)) for model, percent in mirrored.items()})


def warned(warnings: MirrorWarnings, known: Plans) -> list[tuple[str, float]]:
    with capture_logs() as lines:
        warnings.use_plans(known)
    return [(line["model"], line["mirror"]) for line in lines]


def test_each_share_is_warned_of_once() -> None:
    warnings = MirrorWarnings(ModeSettings("p2p"))
    assert warned(warnings, plans(iris=5.0, wine=0.0)) == [("iris", 5.0)]
    assert warned(warnings, plans(iris=5.0, wine=0.0)) == []
    assert warned(warnings, replace(plans(iris=5.0, wine=1.0), default="iris")) == [("wine", 1.0)]
    assert warned(warnings, plans(iris=6.0, wine=1.0)) == [("iris", 6.0)]


def test_a_share_that_comes_again_is_warned_of_again() -> None:
    warnings = MirrorWarnings(ModeSettings("p2p"))
    assert warned(warnings, plans(iris=5.0)) == [("iris", 5.0)]
    assert warned(warnings, Plans({"iris": Plan("1")})) == []
    assert warned(warnings, plans(iris=5.0)) == [("iris", 5.0)]
