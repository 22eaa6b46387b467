"""Put a run together: its rows, its scorer, its plan and its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfleet.bulk.batches import tensor_bytes
from tfleet.bulk.digest import model_digest
from tfleet.bulk.inputs import choose_rows, input_digests, open_sources
from tfleet.bulk.local_scorer import LocalScorer, local_predictions
from tfleet.bulk.manifest import RunPlan
from tfleet.bulk.memory import check_memory, shares
from tfleet.bulk.report import InputSize
from tfleet.bulk.run import RowLimits, Rows, Run
from tfleet.bulk.sources.source import piece_limits
from tfleet.worker.api.protocols.native.layout import row_layout

if TYPE_CHECKING:
    from tfleet.bulk.options import ScoreOptions
    from tfleet.bulk.output import OutputFolder
    from tfleet.bulk.scorer import Scorer
    from tfleet.bulk.selection import Selection
    from tfleet.bulk.sources.files import InputFile
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

    def run(self, folder: OutputFolder) -> Run:
        """The run into a folder."""
        return Run(self.rows, self.scorer, folder, self.plan, self.limits)


def prepare(
    files: Sequence[InputFile],
    selection: Selection,
    spec: ModelSpec,
    model: LoadedModel,
    options: ScoreOptions,
) -> PreparedRun:
    """The run of a model that is loaded and warm. Raises CannotScoreError."""
    held = shares(options.sizes.memory_bytes)
    signature = model.session.signature()
    layout = row_layout(signature, model.facts.columns.value)
    pieces = piece_limits(options.sizes.part_rows, held.piece_bytes)
    sources = open_sources(files, layout, options.read, pieces)
    predictions = local_predictions(model, options.top)
    rows, columns = choose_rows(sources, layout, options.read, selection, predictions.schema.names)
    scorer = LocalScorer(model, columns, predictions, batch_rows=options.sizes.batch_rows)
    check_memory(options.sizes.memory_bytes, held)
    inputs = input_digests(files)
    return PreparedRun(
        rows,
        scorer,
        RunPlan(_model_document(spec), inputs, options.settings()),
        RowLimits(
            options.sizes.part_rows,
            held.part_bytes,
            held.batch_bytes,
            tensor_bytes((*signature.inputs, *signature.outputs)),
        ),
        InputSize([each.rows for each in sources], [each.bytes for each in inputs], selection.limit),
    )


def _model_document(spec: ModelSpec) -> dict[str, Any]:
    path = str(spec.origin)
    return {"name": spec.name, "version": spec.version, "path": path, "sha256": model_digest(spec)}
