"""Counts of mirrored requests, by canary, and as metrics of several processes."""

from __future__ import annotations

from tfleet.proxy.balancing.mirror_counts import MirrorCounts, MirrorResult, read_counts, without_ended
from tfleet.proxy.balancing.versions import ModelVersion
from tfleet.proxy.multiprocess.aggregate import counters_to_keep, sum_up

CANARY = ModelVersion("m", "2")


def counted(*results: tuple[MirrorResult, float]) -> MirrorCounts:
    counts = MirrorCounts()
    counts.count_only([CANARY])
    for result, difference in results:
        counts.add(CANARY, result, difference)
    return counts


def test_results_are_counted_and_the_difference_is_the_largest() -> None:
    counts = counted((MirrorResult.AGREED, 0.5), (MirrorResult.AGREED, 0.25), (MirrorResult.FAILED, 0.0))
    assert counts.by_canary()[CANARY].document() == {
        "agreed": 2,
        "differed": 0,
        "measured": 0,
        "not_comparable": 0,
        "failed": 1,
        "skipped": 0,
        "largest_difference": 0.5,
    }


def test_a_version_that_is_no_canary_any_more_is_forgotten() -> None:
    counts = counted((MirrorResult.AGREED, 0.0))
    counts.count_only([])
    counts.add(CANARY, MirrorResult.AGREED)
    assert counts.by_canary() == {}, "nor is an answer that comes late counted"
    counts.count_only([CANARY])
    counts.add(CANARY, MirrorResult.DIFFERED)
    assert counts.by_canary()[CANARY].results[MirrorResult.AGREED] == 0


def test_several_processes_are_added_up() -> None:
    one, other = counted((MirrorResult.AGREED, 0.5)), counted((MirrorResult.AGREED, 2.0))
    ended = counters_to_keep(counted((MirrorResult.SKIPPED, 0.0)).collect())
    (count,) = read_counts(sum_up([one.collect(), other.collect(), ended])).values()
    assert count.results[MirrorResult.AGREED] == 2
    assert count.results[MirrorResult.SKIPPED] == 1
    assert count.largest_difference == 2.0, "and not the sum"


def test_names_are_bounded() -> None:
    counts = MirrorCounts()
    canaries = [ModelVersion(f"m{number}", "1") for number in range(250)]
    counts.count_only(canaries)
    for canary in canaries:
        counts.add(canary, MirrorResult.AGREED)
    assert len(counts.by_canary()) == 201
    assert counts.by_canary()[ModelVersion("other", "other")].results[MirrorResult.AGREED] == 50


def test_copies_to_another_canary_are_forgotten() -> None:
    gone = counters_to_keep(counted((MirrorResult.AGREED, 0.5)).collect())
    assert read_counts(without_ended(gone, {CANARY}))[CANARY].results[MirrorResult.AGREED] == 1
    assert read_counts(without_ended(gone, {ModelVersion("m", "3")})) == {}
    assert read_counts(gone)[CANARY].results[MirrorResult.AGREED] == 1, "the report itself is as it was"
