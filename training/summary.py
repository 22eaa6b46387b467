"""The summary of a run: for people, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from tfleet.client.text import count
from tfleet.contract.names import PROXY_PORT
from tfleet.runtime.printable import printable
from tfleet.training.report import PAGE
from tfleet.training.results import Duplicates, FineTuning, Share, Split
from tfleet.training.run import Retrained

_PERCENT: Final = 100


def summary_lines(made: Retrained, *, serves: bool) -> Iterator[str]:
    """The summary for people, with what to do next unless the model is served now anyway."""
    results = made.results
    counts = {split: sum(each.split is split for each in results.photos) for split in Split}
    passed_over = f"; {len(results.passed_over):,} files passed over" if results.passed_over else ""
    yield f"model      {printable(str(made.folder))}: {len(results.evaluation.classes):,} classes"
    yield (
        f"photos     {len(results.photos):,}: {counts[Split.TRAIN]:,} train, "
        f"{counts[Split.VALIDATION]:,} validate, {counts[Split.TEST]:,} test{passed_over}"
    )
    yield f"accuracy   {_accuracy(results.evaluation.accuracy)}"
    if results.fine_tuning is not None:
        yield f"fine-tune  {_fine_tuning(results.fine_tuning)}"
    if results.evaluation.confident is not None:
        kept = results.evaluation.confident
        yield f"confident  {_part(kept.answered)} get an answer, of which {_part(kept.right)} are right"
    if results.mislabels is not None and results.mislabels.total:
        yield f"labels     {count(results.mislabels.total, 'photograph')} may be in the wrong folder"
    if results.duplicates is not None and results.duplicates.total:
        yield f"copies     {_copies(results.duplicates)}"
    times = results.run.times
    yield (
        f"time       {times.seconds:.1f} s: {times.vectors_seconds:.1f} s for {times.new_vectors:,} new "
        f"vectors, {times.head_seconds:.1f} s for the head"
    )
    yield f"report     {printable(str(made.folder / PAGE))}"
    if not serves:
        yield from _next_steps(made)


def _next_steps(made: Retrained) -> Iterator[str]:
    models, name, version = made.folder.parent.parent, made.results.run.name, made.results.run.version
    yield f"serve      tfleet up --models {printable(str(models))}"
    yield f"ask        curl -F data=@photo.jpg localhost:{PROXY_PORT}/models/{name}"
    if version > 1:
        yield f"roll out   tfleet rollout {name} {version} --percent 10 --wait"


def _copies(duplicates: Duplicates) -> str:
    said = f"{count(duplicates.total, 'picture')} in several files"
    if across := sum(each.across_classes for each in duplicates.listed):
        said += f", {across:,} of them in several classes"
    if seen := sum(each.across_splits for each in duplicates.listed):
        said += f"; {seen:,} in the test and elsewhere, so the accuracy is too good"
    return said


def _accuracy(share: Share) -> str:
    if share.value is None:
        return "not known: there are no photographs to test with"
    between = f"{_percent(share.low)} and {_percent(share.high)}"
    return f"{_part(share)} of the test are right; probably between {between} of all photographs"


def _fine_tuning(tuning: FineTuning) -> str:
    losses = f"loss on validation {tuning.losses.tuned:.3f}, and {tuning.losses.head:.3f} by the head alone"
    said = "kept" if tuning.kept else "not clearly better, so the model has the head alone"
    return (
        f"{said}: {losses}; of the test {_part(tuning.accuracy)} are right, and "
        f"{_part(tuning.head_accuracy)} by the head alone; {tuning.seconds:.0f} s for "
        f"{count(tuning.epochs, 'epoch')}"
    )


def _part(share: Share) -> str:
    if share.value is None:
        return "none"
    return f"{share.right:,} of {share.total:,} ({_percent(share.value)})"


def _percent(value: float) -> str:
    return f"{value * _PERCENT:.1f} %"


def summary_document(made: Retrained) -> str:
    """The summary as one JSON object: the report without the lists of photographs."""
    results = made.results
    evaluation = results.evaluation
    counts = {str(split): sum(each.split is split for each in results.photos) for split in Split}
    return json.dumps(
        {
            "model": str(made.folder),
            "name": results.run.name,
            "version": results.run.version,
            "classes": [each.label for each in evaluation.classes],
            "photos": {"total": len(results.photos), **counts},
            "passed_over": len(results.passed_over),
            "accuracy": evaluation.accuracy.value,
            "accuracy_interval": [evaluation.accuracy.low, evaluation.accuracy.high],
            "fine_tuning": None if results.fine_tuning is None else asdict(results.fine_tuning),
            "l2": results.run.settings.l2,
            "mislabels": None if results.mislabels is None else results.mislabels.total,
            "duplicates": None if results.duplicates is None else results.duplicates.total,
            "new_vectors": results.run.times.new_vectors,
            "seconds": results.run.times.seconds,
            "warnings": list(results.warnings),
            "report": str(made.folder / PAGE),
        }
    )
