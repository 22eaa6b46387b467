"""Load the model of `--model` into this process, as a worker does."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from tfleet.bulk.errors import CannotScoreError
from tfleet.discovery.options import OPTIONS
from tfleet.worker.memory import trim, use_one_heap
from tfleet.worker.model.graph_options import GraphOptions
from tfleet.worker.model.model_path import ModelUrl
from tfleet.worker.options import ModelOptions

if TYPE_CHECKING:
    from tfleet.bulk.sizes import SizeOptions
    from tfleet.worker.inference.loaded_model import LoadedModel
    from tfleet.worker.model.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class LocalModelOptions:
    """The model, and the CPUs to run it on; None for all that the process may use."""

    model: Path | ModelUrl | None
    trust: bool
    cpus: int | None
    graph: GraphOptions = field(metadata={OPTIONS: GraphOptions})

    def find(self) -> ModelSpec:
        """The model's description. Raises ModelError for what can be told without TensorFlow."""
        # It needs packages that a worker has, and a run with --fleet does not need.
        from tfleet.worker.inference.load import before_tensorflow  # noqa: PLC0415 - see above

        logger: Any = structlog.get_logger()
        return before_tensorflow(ModelOptions(self.model, self.trust, self.graph).find(), logger)


def load_for_bulk(spec: ModelSpec, options: LocalModelOptions, sizes: SizeOptions) -> LoadedModel:
    """The model, warm for batches of these sizes. Raises ModelError and CannotScoreError."""
    use_one_heap()
    # These import TensorFlow, which takes seconds: what can be told before is told before.
    from tfleet.worker.api.protocols.example_body import read_example  # noqa: PLC0415 - see above
    from tfleet.worker.inference.open_model import load_model  # noqa: PLC0415 - see above

    model = load_model(spec, cpus=options.cpus, read_body=read_example)
    try:
        if model.session.default is None:
            there = ", ".join(model.session.signatures)
            raise CannotScoreError(
                f"{spec.origin}: has several signatures: choose one of {there} with --signature"
            )
        if model.session.signature().stateful:
            raise CannotScoreError(
                f"{spec.origin}: keeps state between requests, so its answers depend on the rows' order: ask "
                "a worker row by row"
            )
        batch_rows = sizes.resolved(images=model.classifier is not None).batch_rows
        model.warm_up((1, batch_rows) if batch_rows > 1 else (1,))
    except BaseException:
        model.close()
        raise
    trim()  # the copies of the graph that loading made
    return model
