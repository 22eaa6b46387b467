"""A run of `tfleet retrain`: from the folder of photographs to the folder of a model's new version."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from tfleet import __version__
from tfleet.training.decoding import PhotoDecoder
from tfleet.training.duplicates import find_duplicates
from tfleet.training.errors import CannotRetrainError, RetrainFailedError
from tfleet.training.evaluation import evaluate
from tfleet.training.export import UNKNOWN, write_model
from tfleet.training.head import HeadTrainer, TrainedHead
from tfleet.training.local_embedder import LocalEmbedder, find_backbone, load_embedder
from tfleet.training.material import Material, SplitPlan, training_material, warnings_of
from tfleet.training.mislabels import deal_folds, find_mislabels, judge
from tfleet.training.model_versions import new_version, next_version, publish
from tfleet.training.near_duplicates import SKETCH_SIDE, sketch
from tfleet.training.photos import FoundPhotos, find_photos
from tfleet.training.results import (
    Duplicates,
    Evaluation,
    Mislabels,
    Photo,
    Results,
    RunFacts,
    RunSettings,
    RunTimes,
    Split,
)
from tfleet.training.vector_cache import VectorCache
from tfleet.training.vectors import embed_photos
from tfleet.worker.image.errors import ImageError

if TYPE_CHECKING:
    from tfleet.training.options import RetrainOptions
    from tfleet.training.progress import Watcher
    from tfleet.worker.inference.classifier import Classifier

_LOOKED_AT: Final = 16 * SKETCH_SIDE
"""Pixels of a side of what a sketch is made of."""
REPORT: Final = "report.json"


@dataclass(frozen=True, slots=True)
class Retrained:
    """The results of a run, and the folder of the version that it has made."""

    results: Results
    folder: Path


@dataclass(frozen=True, slots=True)
class _Judgement:
    evaluation: Evaluation
    mislabels: Mislabels
    duplicates: Duplicates


def retrain(root: Path, options: RetrainOptions, watcher: Watcher) -> Retrained:
    """Make a version of a model of the photographs in a folder, and write it.

    Raises CannotRetrainError, ModelError and RetrainFailedError.
    """
    began_s = time.monotonic()
    options.target.check(root)
    plan = SplitPlan(options.split.shares(), options.split.pattern())
    watcher.step("looking for photographs")
    found = find_photos(root)
    if options.min_confidence is not None and UNKNOWN in found.classes:
        raise CannotRetrainError(
            f"{root}: has a class called {UNKNOWN}, which is the answer that --min-confidence adds: rename "
            "the folder, or leave out --min-confidence"
        )
    spec = find_backbone(options.vectors.backbone)
    with ExitStack() as stack:
        watcher.step("loading the model")
        decoder = stack.enter_context(closing(PhotoDecoder()))
        embedder = stack.enter_context(closing(load_embedder(spec, decoder, options.vectors.cpus)))
        cache = VectorCache(options.vectors.cache, embedder.key, embedder.dimensions)
        stack.enter_context(closing(cache))
        watcher.step("vectors")
        vectors_s = time.monotonic()
        embedded = embed_photos(found, embedder, cache, watcher.vectors)
        watcher.step("training the head")
        head_s = time.monotonic()
        material = training_material(root, embedded, plan)
        trainer = HeadTrainer(material.vectors, material.columns, len(material.classes))
        head = trainer.train(material.splits)
        watcher.step("looking for wrong labels and copies")
        done_s = time.monotonic()
        judged = _judged(material, trainer, head, _Sketches(root, decoder), options)
        watcher.step("writing the model")
        now_s = time.monotonic()
        times = RunTimes(
            round(now_s - began_s, 2), round(head_s - vectors_s, 2), round(done_s - head_s, 2), embedded.made
        )
        results = Results(
            run=_facts(options, embedder, head, times),
            evaluation=judged.evaluation,
            mislabels=judged.mislabels,
            duplicates=judged.duplicates,
            photos=material.photos,
            passed_over=(*found.passed_over, *embedded.passed_over),
            warnings=tuple(warnings_of(found, material, cache.damaged)),
        )
        return _written(results, options, embedder.classifier, head)


def _facts(options: RetrainOptions, embedder: LocalEmbedder, head: TrainedHead, times: RunTimes) -> RunFacts:
    spec, target = embedder.classifier.spec, options.target
    settings = RunSettings(
        backbone=spec.label,
        digest=embedder.key,
        preprocessing=repr(spec.input),
        l2=head.l2,
        min_confidence=options.min_confidence,
        group_by=options.split.group_by,
    )
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return RunFacts(target.name, next_version(target.model), created, __version__, settings, times)


def _judged(
    material: Material, trainer: HeadTrainer, head: TrainedHead, look: _Sketches, options: RetrainOptions
) -> _Judgement:
    """How good the head is, and what is probably wrong with the photographs."""
    tested = [index for index, split in enumerate(material.splits) if split is Split.TEST]
    probabilities = head.head.probabilities(material.vectors[tested])
    folds = deal_folds(material.columns, material.units)
    judged = judge(material.columns, folds, len(material.classes), trainer.fold_fit(head.l2))
    return _Judgement(
        evaluation=evaluate(material.classes, material.photos, probabilities, options.min_confidence),
        mislabels=find_mislabels(material.photos, material.classes, material.columns, judged),
        duplicates=find_duplicates(material.photos, material.vectors, look),
    )


class _Sketches:
    """Makes the sketches of photographs that may be copies of each other."""

    def __init__(self, root: Path, decoder: PhotoDecoder) -> None:
        self._found = FoundPhotos(root, (), (), ())
        self._decoder = decoder

    def __repr__(self) -> str:
        return f"<_Sketches {self._found.root}>"

    def __call__(self, photos: Sequence[Photo]) -> Iterable[npt.NDArray[np.uint8] | None]:
        return (self._sketch(each) for each in photos)

    def _sketch(self, photo: Photo) -> npt.NDArray[np.uint8] | None:
        try:
            return sketch(self._decoder.pixels(self._found.read(photo.path), _LOOKED_AT))
        except (ImageError, OSError):
            return None


def _written(
    results: Results, options: RetrainOptions, classifier: Classifier, head: TrainedHead
) -> Retrained:
    from tfleet.training.head_graph import with_head  # noqa: PLC0415 - it imports TensorFlow

    graph = with_head(classifier, head.head, options.min_confidence)
    labels = tuple(each.label for each in results.evaluation.classes)
    if options.min_confidence is not None:
        labels = (*labels, UNKNOWN)
    model = options.target.model
    try:
        with new_version(model) as work:
            write_model(work, graph, labels, classifier.spec.input)
            _write_report(work, results)
            folder = publish(work, model)
        if folder.name != str(results.run.version):  # another run was faster
            results = replace(results, run=replace(results.run, version=int(folder.name)))
            _write_report(folder, results)
    except OSError as error:
        raise RetrainFailedError(f"{model}: the model cannot be written there: {error.strerror}") from error
    return Retrained(results, folder)


def _write_report(folder: Path, results: Results) -> None:
    (folder / REPORT).write_text(json.dumps(results.document(), indent=1))
