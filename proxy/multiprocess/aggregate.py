"""Adds up the metrics and workers of several listeners, as if one process had reported them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from tfleet.proxy.admin.workers import WorkerRow
from tfleet.proxy.balancing.member import WorkerState
from tfleet.proxy.balancing.mirror_counts import LARGEST_DIFFERENCE
from tfleet.proxy.jobs.collector import REDIS_FIGURES, REDIS_UP

# Each listener sees all workers, the whole registry and all jobs: so the largest figure is the right one.
_MAXIMA: Final = frozenset(
    {
        "tfleet_proxy_workers",
        "tfleet_registry_last_sync_seconds",
        "tfleet_registry_unlisted_workers",
        LARGEST_DIFFERENCE,
        *REDIS_FIGURES,
    }
)
_MINIMA: Final = frozenset({"process_start_time_seconds", REDIS_UP})
_CREATED: Final = "_created"
_LASTING: Final = frozenset({"counter", "histogram"})
_WORST_LAST: Final = (WorkerState.READY, WorkerState.STARTING, WorkerState.DRAINING, WorkerState.EJECTED)

_Key = tuple[str, tuple[tuple[str, str], ...]]


def sum_up(told: Iterable[Iterable[Metric]]) -> tuple[Metric, ...]:
    """Add up the figures of all listeners, except those that every listener reports alike."""
    families: dict[str, Metric] = {}
    samples: dict[str, dict[_Key, Sample]] = {}
    for family in (family for one in told for family in one):
        families.setdefault(family.name, family)
        found = samples.setdefault(family.name, {})
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            before = found.get(key)
            found[key] = sample if before is None else _added(family.name, before, sample)
    return tuple(_family(families[name], samples[name].values()) for name in families)


def counters_to_keep(families: Iterable[Metric]) -> tuple[Metric, ...]:
    """The counters of an ended process, to be kept: a counter must never fall."""
    return tuple(family for family in families if family.type in _LASTING)


def merge(told: Iterable[Sequence[WorkerRow]]) -> tuple[WorkerRow, ...]:
    """The workers that any listener knows, each in the worst state that any listener sees."""
    rows: dict[str, list[WorkerRow]] = {}
    for row in (row for one in told for row in one):
        rows.setdefault(row.instance.id, []).append(row)
    return tuple(map(_merged, rows.values()))


def _merged(rows: Sequence[WorkerRow]) -> WorkerRow:
    worst = max(rows, key=lambda row: _WORST_LAST.index(row.state))
    return replace(
        worst,
        weight=sum(row.weight for row in rows) / len(rows),
        listed=any(row.listed for row in rows),
        in_flight=sum(row.in_flight for row in rows),
        failures=max(row.failures for row in rows),
    )


def _added(family: str, one: Sample, other: Sample) -> Sample:
    if family in _MAXIMA:
        return one._replace(value=max(one.value, other.value))
    if family in _MINIMA or one.name.endswith(_CREATED):
        return one._replace(value=min(one.value, other.value))
    return one._replace(value=one.value + other.value)


def _family(like: Metric, samples: Iterable[Sample]) -> Metric:
    family = Metric(like.name, like.documentation, like.type, like.unit)
    family.samples = list(samples)
    return family
