"""What came of the requests that were mirrored to canaries: numbers by result, and the largest difference.

They are counted for as long as a version is the canary: another canary, or a second time, begins at 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from tfleet.discovery.plan import Plan
from tfleet.proxy.balancing.versions import ModelVersion
from tfleet.proxy.telemetry.version_stats import MAX_VERSIONS, OTHERS

MIRRORED: Final = "tfleet_proxy_mirrored"
LARGEST_DIFFERENCE: Final = "tfleet_proxy_mirror_largest_difference"


class MirrorResult(StrEnum):
    """What came of one mirrored request."""

    AGREED = "agreed"
    """Both versions gave the same top-1, or the same values."""

    DIFFERED = "differed"
    """Another top-1, another text or whole number, or the canary refused what the stable version took."""

    MEASURED = "measured"
    """Numbers without a top-1 that are not the same: only the difference says how far apart they are."""

    NOT_COMPARABLE = "not_comparable"
    """Other outputs, other shapes, or a form of answer that is not read."""

    FAILED = "failed"
    """The canary's worker was lost, silent, or answered with 5xx."""

    SKIPPED = "skipped"
    """No copy was sent, or its answer was not read: over a limit, or no worker of the canary took it."""


@dataclass(slots=True)
class MirrorCount:
    """The counts of one canary. The largest difference is over all answers with numbers."""

    results: dict[MirrorResult, int] = field(default_factory=lambda: dict.fromkeys(MirrorResult, 0))
    largest_difference: float = 0.0

    def document(self) -> dict[str, object]:
        """What `GET /models` says."""
        return {
            **{result.value: number for result, number in self.results.items()},
            "largest_difference": self.largest_difference,
        }


class MirrorCounts(Collector):
    """The counts of one proxy, by canary."""

    def __init__(self) -> None:
        self._counts: dict[ModelVersion, MirrorCount] = {}
        self._canaries: frozenset[ModelVersion] = frozenset()

    def __repr__(self) -> str:
        return f"<MirrorCounts canaries={len(self._counts)}>"

    def add(self, canary: ModelVersion, result: MirrorResult, difference: float = 0.0) -> None:
        """Count a result. `difference` is the largest between the numbers of both answers."""
        if canary not in self._canaries:
            return  # the answer came after the plan had ended its rollout
        count = self._counts.get(canary)
        if count is None:
            name = canary if len(self._counts) < MAX_VERSIONS else ModelVersion(*OTHERS)
            count = self._counts.setdefault(name, MirrorCount())
        count.results[result] += 1
        count.largest_difference = max(count.largest_difference, difference)

    def count_only(self, canaries: Collection[ModelVersion]) -> None:
        """Count these from now on, and forget those that are canaries no more."""
        self._canaries = frozenset(canaries)
        for gone in self._counts.keys() - self._canaries:
            del self._counts[gone]

    def by_canary(self) -> Mapping[ModelVersion, MirrorCount]:
        """The counts of those to which something was mirrored."""
        return self._counts

    def collect(self) -> Iterator[Metric]:
        mirrored = CounterMetricFamily(
            MIRRORED, "Requests mirrored to a canary, by result", labels=["model", "version", "result"]
        )
        largest = GaugeMetricFamily(
            LARGEST_DIFFERENCE,
            "The largest difference between two numbers of a canary's answer and the stable version's",
            labels=["model", "version"],
        )
        for canary, count in list(self._counts.items()):
            for result, number in list(count.results.items()):
                mirrored.add_metric([*canary, result.value], number)
            largest.add_metric([*canary], count.largest_difference)
        yield mirrored
        yield largest


def canaries_of(plans: Mapping[str, Plan]) -> frozenset[ModelVersion]:
    """The canaries of these plans."""
    return frozenset(
        ModelVersion(model, plan.canary.version) for model, plan in plans.items() if plan.canary is not None
    )


def without_ended(families: Iterable[Metric], canaries: Collection[ModelVersion]) -> tuple[Metric, ...]:
    """These metrics, without what was mirrored to others than these canaries."""
    kept = []
    for family in families:
        if family.name not in {MIRRORED, LARGEST_DIFFERENCE}:
            kept.append(family)
            continue
        going_on = copy(family)
        going_on.samples = [sample for sample in family.samples if _canary(sample) in canaries]
        kept.append(going_on)
    return tuple(kept)


def read_counts(families: Iterable[Metric]) -> Mapping[ModelVersion, MirrorCount]:
    """The counts in metrics that other processes have reported."""
    counts: dict[ModelVersion, MirrorCount] = {}
    for family in families:
        if family.name not in {MIRRORED, LARGEST_DIFFERENCE}:
            continue
        for sample in family.samples:
            count = counts.setdefault(_canary(sample), MirrorCount())
            if family.name == LARGEST_DIFFERENCE:
                count.largest_difference = sample.value
            elif "result" in sample.labels and not sample.name.endswith("_created"):
                count.results[MirrorResult(sample.labels["result"])] = int(sample.value)
    return counts


def _canary(sample: Sample) -> ModelVersion:
    return ModelVersion(sample.labels["model"], sample.labels["version"])
