"""Put a run together: its rows, its scorer, its plan and its limits."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tfleet.bulk.batches import tensor_bytes
from tfleet.bulk.digest import model_digest
from tfleet.bulk.fleet_scorer import FleetImageScorer, FleetScorer
from tfleet.bulk.image_content import ImageReader
from tfleet.bulk.image_scorer import ImageScorer
from tfleet.bulk.inputs import choose_rows, grouped, open_sources
from tfleet.bulk.local_scorer import LocalScorer, local_predictions
from tfleet.bulk.manifest import RunPlan
from tfleet.bulk.memory import check_memory, shares
from tfleet.bulk.model_columns import image_column, model_columns
from tfleet.bulk.predictions import FleetLabelPredictions
from tfleet.bulk.probe import answer_bytes
from tfleet.bulk.report import InputSize
from tfleet.bulk.run import RowLimits, Rows, Run
from tfleet.bulk.sources.source import fewer_rows, piece_limits
from tfleet.bulk.unchanged import UnchangedInputs
from tfleet.worker.api.protocols.native.layout import row_layout

if TYPE_CHECKING:
    from tfleet.bulk.fleet_connection import FleetConnection
    from tfleet.bulk.fleet_model import FleetModel
    from tfleet.bulk.options import ScoreOptions
    from tfleet.bulk.output import OutputFolder
    from tfleet.bulk.scorer import Scorer
    from tfleet.bulk.selection import Selection
    from tfleet.bulk.sizes import ResolvedSizes
    from tfleet.bulk.sources.files import InputFile
    from tfleet.bulk.sources.source import RowSource
    from tfleet.worker.api.protocols.native.layout import RowLayout
    from tfleet.worker.inference.loaded_model import LoadedModel
    from tfleet.worker.model.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A run of which nothing can be wrong any more but what happens on the way."""

    rows: Rows
    scorer: Scorer
    plan: RunPlan
    limits: RowLimits
    size: InputSize
    inputs: UnchangedInputs

    def run(self, folder: OutputFolder) -> Run:
        """The run into a folder."""
        return Run(self.rows, self.scorer, folder, self.plan, self.limits, self.inputs.check)


def prepare(
    files: Sequence[InputFile],
    selection: Selection,
    spec: ModelSpec,
    model: LoadedModel,
    options: ScoreOptions,
    stack: ExitStack,
) -> PreparedRun:
    """The run of a model that is loaded and warm. What it opens is closed with the stack.

    Raises CannotScoreError.
    """
    held = shares(options.sizes.memory_bytes)
    images = model.classifier is not None
    sizes = options.sizes.resolved(images=images)
    signature = model.session.signature()
    layout = None if images else row_layout(signature, model.facts.columns.value)
    groups = grouped(files, options.read.form)
    unchanged = UnchangedInputs(groups)
    opened = partial(open_sources, groups, layout, options.read)
    limits = piece_limits(sizes.part_rows, held.piece_bytes)
    sources = opened(limits)
    scorer: LocalScorer | ImageScorer
    if layout is None:
        reader = ImageReader.of(files)
        scorer = _image_scorer(model, sources[0], options, sizes, reader, stack)
    else:
        scorer = _row_scorer(model, layout, sources[0], options, sizes)
    predicted = scorer.predictions.schema.names
    rows = choose_rows(sources, scorer.columns, options.read, selection, predicted)
    check_memory(options.sizes.memory_bytes, held, images=images)
    answer = answer_bytes(rows, scorer)
    if answer * limits.rows > held.piece_bytes:  # a part does not end within a piece
        rows = replace(rows, sources=opened(fewer_rows(limits, answer, held.piece_bytes)))
    inputs = [source.digest() for source in sources]
    tensors = tensor_bytes(signature.inputs) + max(tensor_bytes(signature.outputs), answer)
    return PreparedRun(
        rows,
        scorer,
        RunPlan(_model_document(spec), inputs, options.settings(sizes)),
        RowLimits(sizes.part_rows, held.part_bytes, held.batch_bytes, tensors),
        InputSize([each.rows for each in sources], [each.bytes for each in inputs], selection.limit),
        unchanged,
    )


def prepare_fleet(
    files: Sequence[InputFile],
    selection: Selection,
    fleet: FleetConnection,
    model: FleetModel,
    options: ScoreOptions,
) -> PreparedRun:
    """The run of a fleet's model. Raises CannotScoreError."""
    held = shares(options.sizes.memory_bytes)
    sizes = options.sizes.resolved(images=model.images)
    layout = None if model.images else model.layout()
    groups = grouped(files, options.read.form)
    unchanged = UnchangedInputs(groups)
    opened = partial(open_sources, groups, layout, options.read)
    limits = piece_limits(sizes.part_rows, held.piece_bytes)
    sources = opened(limits)
    scorer = _fleet_scorer(fleet, model, layout, sources[0], options, sizes, ImageReader.of(files))
    rows = choose_rows(sources, scorer.columns, options.read, selection, scorer.predictions.schema.names)
    check_memory(options.sizes.memory_bytes, held, images=model.images)
    answer = answer_bytes(rows, scorer)
    if answer * limits.rows > held.piece_bytes:  # a part does not end within a piece
        rows = replace(rows, sources=opened(fewer_rows(limits, answer, held.piece_bytes)))
    inputs = [source.digest() for source in sources]
    document = {"name": model.name, "version": model.version, "signature": model.stated, "of": "a fleet"}
    tensors = tensor_bytes(model.signature.inputs) + max(tensor_bytes(model.signature.outputs), answer)
    # Each request is held as rows, as a body and as an answer.
    batch_bytes = held.batch_bytes // max(scorer.concurrency // 2, 1)
    return PreparedRun(
        rows,
        scorer,
        RunPlan(document, inputs, options.settings(sizes)),
        RowLimits(sizes.part_rows, held.part_bytes, batch_bytes, tensors),
        InputSize([each.rows for each in sources], [each.bytes for each in inputs], selection.limit),
        unchanged,
    )


def _fleet_scorer(
    fleet: FleetConnection,
    model: FleetModel,
    layout: RowLayout | None,
    source: RowSource,
    options: ScoreOptions,
    sizes: ResolvedSizes,
    reader: ImageReader,
) -> FleetScorer | FleetImageScorer:
    there, where = source.columns, source.name
    concurrency = options.model.fleet.concurrency
    if layout is None:
        column = image_column(options.read.image_column, there, where)
        predictions = fleet.predictions(model, options.top)
        assert isinstance(predictions, FleetLabelPredictions), "an image model has labels"
        return FleetImageScorer(fleet, column, predictions, concurrency=concurrency, reader=reader)
    return FleetScorer(
        fleet,
        model_columns(layout, there, where),
        fleet.predictions(model, options.top),
        batch_rows=sizes.batch_rows,
        concurrency=concurrency,
        signature=model.stated,
    )


def _row_scorer(
    model: LoadedModel, layout: RowLayout, source: RowSource, options: ScoreOptions, sizes: ResolvedSizes
) -> LocalScorer:
    columns = model_columns(layout, source.columns, source.name)
    return LocalScorer(model, columns, local_predictions(model, options.top), batch_rows=sizes.batch_rows)


def _image_scorer(
    model: LoadedModel,
    source: RowSource,
    options: ScoreOptions,
    sizes: ResolvedSizes,
    reader: ImageReader,
    stack: ExitStack,
) -> ImageScorer:
    # It imports Pillow, which --fleet does without.
    from tfleet.bulk.image_decoders import ImageDecoders  # noqa: PLC0415 - see above

    decoders = stack.enter_context(closing(ImageDecoders(options.sizes.memory_bytes)))
    assert model.classifier is not None, "only an image model has no layout"
    column = image_column(options.read.image_column, source.columns, source.name)
    return ImageScorer(
        model.classifier,
        column,
        batch_rows=sizes.batch_rows,
        top=options.top,
        reader=reader,
        prepare=partial(decoders.prepare, model.classifier),
    )


def _model_document(spec: ModelSpec) -> dict[str, Any]:
    path = str(spec.origin)
    return {"name": spec.name, "version": spec.version, "path": path, "sha256": model_digest(spec)}
