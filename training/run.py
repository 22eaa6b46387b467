"""A run of `tfleet retrain`: from the folder of photographs to the folder of a model's new version."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfleet import __version__
from tfleet.client.async_client import AsyncFleetClient
from tfleet.training.decoding import PhotoDecoder
from tfleet.training.duplicates import Sketch, find_duplicates
from tfleet.training.errors import CannotRetrainError, RetrainFailedError
from tfleet.training.evaluation import evaluate
from tfleet.training.export import UNKNOWN, write_model
from tfleet.training.fine_tune.job import EPOCHS
from tfleet.training.fine_tune.run import FineTuner, Tuned
from tfleet.training.head import HeadTrainer, TrainedHead
from tfleet.training.local_embedder import find_backbone, load_embedder
from tfleet.training.looks import PhotoLooks
from tfleet.training.material import Material, SplitPlan, training_material, warnings_of
from tfleet.training.mislabels import FoldFit, deal_folds, find_mislabels, judge
from tfleet.training.model_versions import new_version, next_version, publish
from tfleet.training.photos import find_photos
from tfleet.training.progress import PartsProgress
from tfleet.training.report import write_report
from tfleet.training.results import (
    Duplicates,
    Evaluation,
    FineTuning,
    Mislabels,
    Photo,
    Results,
    RunFacts,
    RunSettings,
    RunTimes,
    Split,
)
from tfleet.training.softmax_regression import Matrix
from tfleet.training.vector_cache import VectorCache
from tfleet.training.vectors import Embedder, embed_photos

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tfleet.training.options import RetrainOptions
    from tfleet.training.progress import Watcher
    from tfleet.worker.inference.classifier import Classifier
    from tfleet.worker.model.spec import ModelSpec


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
    fine_tuning: FineTuning | None


@dataclass(frozen=True, slots=True)
class _HeadAndNetwork:
    """The head, and the network that was trained further, with a head of its own, if one was."""

    head: TrainedHead
    tuned: Tuned | None

    @property
    def kept(self) -> Tuned | None:
        """The tuned network where it is the better one."""
        return self.tuned if self.tuned is not None and self.tuned.better else None


def retrain(root: Path, options: RetrainOptions, watcher: Watcher) -> Retrained:
    """Make a version of a model of the photographs in a folder, and write it.

    Raises CannotRetrainError, ModelError and RetrainFailedError.
    """
    began_s = time.monotonic()
    options.check(root)
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
        decoder = stack.enter_context(closing(PhotoDecoder(options.vectors.max_pixels)))
        local = stack.enter_context(closing(load_embedder(spec, decoder, options.vectors.cpus)))
        tuner = _tuner(local.classifier, decoder, options) if options.tuning.fine_tune else None
        embedder = _fleet(options, spec, stack) if options.fleet.fleet else local
        cache = VectorCache(options.vectors.cache, embedder.key, embedder.dimensions)
        stack.enter_context(closing(cache))
        watcher.step("vectors")
        vectors_s = time.monotonic()
        embedded = embed_photos(found, embedder, cache, watcher.vectors)
        watcher.step("training the head")
        head_s = time.monotonic()
        material = training_material(root, embedded, plan)
        trainer = HeadTrainer(material.vectors, material.columns, len(material.classes))
        head = trainer.train(
            material.splits, lambda done, most: watcher.parts(PartsProgress(done, most, alike=False))
        )
        done_s = time.monotonic()
        tuned = None
        if tuner is not None:
            tuned = tuner.tune(
                found, material, trainer.start(material.splits, head.l2), watcher, options.target.model
            )
        looks = PhotoLooks(found, decoder)
        judged = _judged(material, trainer, _HeadAndNetwork(head, tuned), looks, options, watcher)
        watcher.step("writing the model")
        now_s = time.monotonic()
        times = RunTimes(
            round(now_s - began_s, 2), round(head_s - vectors_s, 2), round(done_s - head_s, 2), embedded.made
        )
        results = Results(
            run=_facts(options, spec, embedder.key, head.l2, times),
            evaluation=judged.evaluation,
            mislabels=judged.mislabels,
            duplicates=judged.duplicates,
            photos=material.photos,
            passed_over=(*found.passed_over, *embedded.passed_over),
            warnings=tuple(warnings_of(found, material, plan, cache.damaged)),
            fine_tuning=judged.fine_tuning,
        )
        return _written(results, options, local.classifier, _HeadAndNetwork(head, tuned), looks)


def _tuner(classifier: Classifier, decoder: PhotoDecoder, options: RetrainOptions) -> FineTuner:
    tuning = options.tuning
    return FineTuner(
        classifier,
        decoder,
        epochs=tuning.epochs or EPOCHS,
        mirror=tuning.mirror,
        cpus=options.vectors.cpus,
    )


def _fleet(options: RetrainOptions, spec: ModelSpec, stack: ExitStack) -> Embedder:
    from tfleet.training.fleet_vectors import CONCURRENCY, FleetEmbedder  # noqa: PLC0415 - for this way alone

    asked = options.fleet.named()
    client = AsyncFleetClient(
        options.fleet.fleet, p2p=True, max_connections=CONCURRENCY, model=asked.model, version=asked.version
    )
    return stack.enter_context(closing(FleetEmbedder.connect(client, spec)))


def _facts(options: RetrainOptions, spec: ModelSpec, key: str, l2: float, times: RunTimes) -> RunFacts:
    target = options.target
    settings = RunSettings(
        backbone=spec.label,
        digest=key,
        preprocessing=repr(spec.input),
        l2=l2,
        min_confidence=options.min_confidence,
        group_by=options.split.group_by,
    )
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return RunFacts(target.name, next_version(target.model), created, __version__, settings, times)


def _judged(
    material: Material,
    trainer: HeadTrainer,
    trained: _HeadAndNetwork,
    looks: PhotoLooks,
    options: RetrainOptions,
    watcher: Watcher,
) -> _Judgement:
    """How good the model is, and what is probably wrong with the photographs."""
    tested = [index for index, split in enumerate(material.splits) if split is Split.TEST]

    def evaluation_of(probabilities: Matrix) -> Evaluation:
        return evaluate(material.classes, material.photos, probabilities, options.min_confidence)

    of_head = evaluation_of(trained.head.head.probabilities(material.vectors[tested]))
    of_tuned = None if trained.tuned is None else evaluation_of(trained.tuned.probabilities)
    watcher.step("looking for wrong labels")
    folds = deal_folds(material.columns, material.units, trainer.folds)
    fit = _watched(trainer.fold_fit(trained.head.l2), len(set(folds.tolist())), watcher)
    judged = judge(material.columns, folds, len(material.classes), fit)
    mislabels = find_mislabels(material.photos, material.classes, material.columns, judged)
    watcher.step("looking for copies")
    return _Judgement(
        evaluation=of_head if of_tuned is None or trained.kept is None else of_tuned,
        mislabels=mislabels,
        duplicates=find_duplicates(material.photos, material.vectors, partial(_looked, looks, watcher)),
        fine_tuning=None
        if of_tuned is None or trained.tuned is None
        else trained.tuned.figures(of_head.accuracy, of_tuned.accuracy),
    )


def _watched(fit: FoldFit, folds: int, watcher: Watcher) -> FoldFit:
    """The same, which tells how many of the folds are through."""
    done = count(1)

    def watched(train: npt.NDArray[np.intp], held_out: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        found = fit(train, held_out)
        watcher.parts(PartsProgress(next(done), folds))
        return found

    return watched


def _looked(looks: PhotoLooks, watcher: Watcher, photos: Sequence[Photo]) -> Iterator[Sketch | None]:
    """The sketches of photographs, which are read again one by one."""
    for done, sketch in enumerate(looks.sketches(photos), 1):
        watcher.parts(PartsProgress(done, len(photos)))
        yield sketch


def _written(
    results: Results,
    options: RetrainOptions,
    classifier: Classifier,
    trained: _HeadAndNetwork,
    looks: PhotoLooks,
) -> Retrained:
    from tfleet.training.head_graph import with_head  # noqa: PLC0415 - it imports TensorFlow

    if (tuned := trained.kept) is not None:
        graph = with_head(classifier, tuned.head, options.min_confidence, tuned.constants)
    else:
        graph = with_head(classifier, trained.head.head, options.min_confidence)
    labels = tuple(each.label for each in results.evaluation.classes)
    if options.min_confidence is not None:
        labels = (*labels, UNKNOWN)
    model = options.target.model
    try:
        with new_version(model) as work:
            write_model(work, graph, labels, classifier.spec.input)
            write_report(results, looks.thumbnail, work)
            folder = publish(work, model)
        if folder.name != str(results.run.version):  # another run was faster
            results = replace(results, run=replace(results.run, version=int(folder.name)))
            write_report(results, looks.thumbnail, folder)
    except OSError as error:
        raise RetrainFailedError(f"{model}: the model cannot be written there: {error.strerror}") from error
    return Retrained(results, folder)
