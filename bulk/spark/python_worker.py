"""Open the model, or the fleet, that a task asks. It runs in Spark's Python workers, never in the driver."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tfleet.bulk.batches import tensor_bytes
from tfleet.bulk.digest import model_digest
from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.fleet_connection import FleetConnection
from tfleet.bulk.fleet_scorer import FleetImageScorer, FleetScorer
from tfleet.bulk.image_content import ImageReader
from tfleet.bulk.image_decoders import ImageDecoders
from tfleet.bulk.image_scorer import ImageScorer
from tfleet.bulk.local_model import LocalModelOptions, load_for_bulk
from tfleet.bulk.local_scorer import LocalScorer, local_predictions
from tfleet.bulk.memory import DEFAULT_MEMORY, parse_size
from tfleet.bulk.model_columns import image_column, model_columns
from tfleet.bulk.predictions import FleetLabelPredictions
from tfleet.bulk.sizes import SizeOptions
from tfleet.bulk.spark.image_files import NamedImages
from tfleet.bulk.spark.opened import OPENED, Opened
from tfleet.bulk.spark.settings import TABLE, ExecutorModel, FleetChoice, TaskSettings
from tfleet.runtime import log
from tfleet.worker.api.protocols.native.layout import row_layout
from tfleet.worker.model.model_path import ModelUrl

if TYPE_CHECKING:
    from tfleet.bulk.model_columns import TakenColumns
    from tfleet.bulk.scorer import Scorer
    from tfleet.bulk.spark.settings import RowSettings
    from tfleet.worker.api.protocols.native.layout import RowLayout
    from tfleet.worker.inference.classifier import Classifier
    from tfleet.worker.inference.loaded_model import LoadedModel

DECODERS: Final = Opened()
"""Those of this process: they are kept whatever the model is."""


@dataclass(frozen=True, slots=True)
class OpenedTask:
    """What a task scores with. `layout` is None for an image model; `fleet_model` is `NAME/VERSION`."""

    scorer: Scorer
    columns: TakenColumns
    layout: RowLayout | None
    tensor_bytes: int
    fleet_model: str | None = None


def open_task(settings: TaskSettings, cpus: int) -> OpenedTask:
    """Open what these settings ask for, on so many CPUs, if this process has not yet.

    Raises CannotScoreError, RunFailedError and ModelError.
    """
    if isinstance(settings.model, FleetChoice):
        return _of_fleet(settings, settings.model)
    return _of_model(settings, settings.model, cpus)


def _of_model(settings: TaskSettings, choice: ExecutorModel, cpus: int) -> OpenedTask:
    sizes = SizeOptions(parse_size(DEFAULT_MEMORY), settings.rows.batch_rows, None)
    model = OPENED.get((choice, sizes, cpus), lambda: _load(choice, sizes, cpus))
    signature = model.session.signature()
    tensors = tensor_bytes((*signature.inputs, *signature.outputs))
    if model.classifier is not None:
        column = image_column(settings.rows.image_column, settings.names, TABLE)
        images = _image_scorer(model.classifier, column, settings.rows, sizes, cpus)
        return OpenedTask(NamedImages(images, column.name), column, None, tensors)
    layout = row_layout(signature, model.facts.columns.value)
    columns = model_columns(layout, settings.names, TABLE)
    predictions = local_predictions(model, settings.rows.top)
    batch_rows = sizes.resolved(images=False).batch_rows
    scorer = LocalScorer(model, columns, predictions, batch_rows=batch_rows)
    return OpenedTask(scorer, columns, layout, tensors)


def _image_scorer(
    classifier: Classifier, column: TakenColumns, rows: RowSettings, sizes: SizeOptions, cpus: int
) -> ImageScorer:
    # Costly images are decoded in processes of their own: one that ends its process would end the job.
    isolated = DECODERS.get("", lambda: ImageDecoders(sizes.memory_bytes))
    return ImageScorer(
        classifier,
        column,
        batch_rows=sizes.resolved(images=True).batch_rows,
        top=rows.top,
        reader=ImageReader(rows.storages),
        decoders=cpus,
        prepare=partial(isolated.prepare, classifier),
    )


def _load(choice: ExecutorModel, sizes: SizeOptions, cpus: int) -> LoadedModel:
    """The model, if it is the one that the driver means. Raises ModelError and CannotScoreError."""
    log.configure("console", level="warning")
    options = LocalModelOptions(_place(choice), choice.trust, cpus, choice.graph)
    spec = options.find()
    if (digest := model_digest(spec)) != choice.sha256:
        raise CannotScoreError(
            f"{spec.origin}: is another model here than on the driver (SHA-256 {digest[:12]}..., and there "
            f"{choice.sha256[:12]}...): every machine needs the same files"
        )
    return load_for_bulk(spec, options, sizes)


def _place(choice: ExecutorModel) -> Path | ModelUrl | None:
    """Where this machine has the model: a relative path begins here, or else where the driver works."""
    model, seen_at = choice.model, choice.seen_at
    if not isinstance(model, Path) or model.exists():
        return model
    if seen_at is not None and seen_at.exists():
        return seen_at
    absolute = seen_at or model
    raise CannotScoreError(
        f"{absolute}: an executor has no such file or folder: put the model there on every machine, on a "
        f"shared file system, or give its URL (the executor works in {Path.cwd()})"
    )


def _of_fleet(settings: TaskSettings, choice: FleetChoice) -> OpenedTask:
    rows, options = settings.rows, choice.fleet
    # The settings of rows name a version, the one that was found when the driver asked: see `of_version`.
    fleet = OPENED.get(options, lambda: FleetConnection(options.client(options.named())))
    model = fleet.model(choice.signature)
    tensors = tensor_bytes((*model.signature.inputs, *model.signature.outputs))
    predictions = fleet.predictions(model, rows.top)
    name = f"{model.name}/{model.version}"
    if model.images:
        column = image_column(rows.image_column, settings.names, TABLE)
        assert isinstance(predictions, FleetLabelPredictions), "an image model has labels"
        images = FleetImageScorer(
            fleet, column, predictions, concurrency=options.concurrency, reader=ImageReader(rows.storages)
        )
        return OpenedTask(NamedImages(images, column.name), column, None, tensors, name)
    layout = model.layout()
    sizes = SizeOptions(parse_size(DEFAULT_MEMORY), rows.batch_rows, None).resolved(images=False)
    columns = model_columns(layout, settings.names, TABLE)
    scorer = FleetScorer(
        fleet,
        columns,
        predictions,
        batch_rows=sizes.batch_rows,
        concurrency=options.concurrency,
        signature=model.stated,
    )
    return OpenedTask(scorer, columns, layout, tensors, name)
