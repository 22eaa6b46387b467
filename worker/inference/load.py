"""Load the one model of this process, warm it up, and say what it is."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfleet.worker.inference.illegal_instruction import report_illegal_instruction
from tfleet.worker.inference.postprocess import check_trust
from tfleet.worker.inference.precision import PrecisionChoice, Tuning, cpu_obstacle, fall_back_to_float32
from tfleet.worker.inference.told import tell
from tfleet.worker.memory import trim
from tfleet.worker.metrics import WorkerMetrics
from tfleet.worker.model.facts import saved_model_facts
from tfleet.worker.model.keras.cache import as_saved_model
from tfleet.worker.model.spec import ModelSpec

if TYPE_CHECKING:  # importing them for real imports TensorFlow
    from tfleet.worker.inference.classifier import Classifier
    from tfleet.worker.inference.examples import ReadBody
    from tfleet.worker.inference.loaded_model import LoadedModel
    from tfleet.worker.inference.precision import Precision

_CPUINFO = Path("/proc/cpuinfo")


_IMAGES_ONLY = "bfloat16 is compared on sample images, and this model takes none"


def load_warm(
    spec: ModelSpec,
    tuning: Tuning,
    sizes: Sequence[int],
    metrics: WorkerMetrics,
    log: Any,
    *,
    read_body: ReadBody | None = None,
) -> LoadedModel:
    """Load the model and run it in batches of all `sizes`. Raises ModelError.

    `read_body` reads the examples that come with the model, see `find_examples`.

    The log says what the model is, and has the chosen precision and the seconds of each part, as the metrics
    have.
    """
    cpuinfo = _CPUINFO.read_text()
    obstacle = cpu_obstacle(cpuinfo)
    if tuning.precision == "bfloat16" and obstacle:
        # This raises: the operator should not have to wait for the import of TensorFlow to read it.
        fall_back_to_float32(tuning.precision, obstacle)
    spec = before_tensorflow(spec, log)
    began_s = time.perf_counter()
    with report_illegal_instruction(cpuinfo):
        import tfleet.worker.model.tensorflow  # noqa: F401, PLC0415 - imports TensorFlow

        imported_s = time.perf_counter()
        model, choice = _load(spec, tuning, obstacle, read_body)
        loaded_s = time.perf_counter()
        warm_up_s = model.warm_up(sizes)
    parts = {"import": imported_s - began_s, "load": loaded_s - imported_s, "warm-up": warm_up_s}
    for part, seconds in parts.items():
        metrics.start_seconds.labels(part).set(seconds)
    metrics.cpus.set(tuning.cpus)
    metrics.precision.labels(choice.precision).set(1)
    log.info(
        "model loaded",
        seconds={part: round(seconds, 2) for part, seconds in parts.items()},
        form=model.form,
        cpus=tuning.cpus,
        precision=choice.precision,
        because=choice.reason,
        batch_sizes=model.batch_sizes,
    )
    tell(model, log)
    _free_loading_memory()
    return model


def before_tensorflow(spec: ModelSpec, log: Any) -> ModelSpec:
    """The model as a SavedModel or frozen graph. Raises `ModelError` for what can be told without TensorFlow,
    whose import takes seconds.
    """
    check_trust(spec)
    spec = as_saved_model(spec, log)
    if spec.path.is_dir() and spec.input.tensor is None and spec.output.tensor is None:
        saved_model_facts(spec)
    return spec


def _load(
    spec: ModelSpec, tuning: Tuning, obstacle: str, read_body: ReadBody | None
) -> tuple[LoadedModel, PrecisionChoice]:
    from tfleet.worker.inference.choose_precision import load_in_best_precision  # noqa: PLC0415 - TensorFlow
    from tfleet.worker.inference.classifier import Classifier  # noqa: PLC0415 - the same
    from tfleet.worker.inference.open_model import load_model  # noqa: PLC0415 - the same
    from tfleet.worker.inference.session_config import sees_gpu  # noqa: PLC0415 - the same

    first = load_model(spec, cpus=tuning.cpus, read_body=read_body)
    if first.classifier is None:
        if tuning.precision == "float32":
            return first, PrecisionChoice("float32", "requested")
        try:
            return first, fall_back_to_float32(tuning.precision, _IMAGES_ONLY)
        except BaseException:
            first.close()
            raise
    loaded = [first.classifier]

    def load(precision: Precision) -> Classifier:
        if precision == "float32" and loaded:
            return loaded.pop()
        return Classifier.load(spec, cpus=tuning.cpus, precision=precision)

    return load_in_best_precision(spec, tuning, "the model runs on a GPU" if sees_gpu() else obstacle, load)


def _free_loading_memory() -> None:
    """Return freed memory to the system: the C library keeps 60 to 120 MB of copies of the graph.

    What is alive now stays alive, so the garbage collector is told to skip it from now on.
    """
    gc.collect()
    gc.freeze()
    trim()
