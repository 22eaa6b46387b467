"""Load a model into the one classifier of this process, and warm it up."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfleet.worker.inference.illegal_instruction import report_illegal_instruction
from tfleet.worker.inference.precision import Tuning, cpu_obstacle, fall_back_to_float32
from tfleet.worker.memory import trim
from tfleet.worker.metrics import WorkerMetrics
from tfleet.worker.model.keras.cache import as_saved_model
from tfleet.worker.model.spec import ModelSpec

if TYPE_CHECKING:  # importing it for real imports TensorFlow
    from tfleet.worker.inference import Classifier

_CPUINFO = Path("/proc/cpuinfo")


def load_warm(
    spec: ModelSpec, tuning: Tuning, sizes: Sequence[int], metrics: WorkerMetrics, log: Any
) -> Classifier:
    """Load the model and run it in batches of all `sizes`. Raises ModelError.

    The log and the metrics have the chosen precision and the seconds of each part.
    """
    cpuinfo = _CPUINFO.read_text()
    obstacle = cpu_obstacle(cpuinfo)
    if tuning.precision == "bfloat16" and obstacle:
        # This raises: the operator should not have to wait for the import of TensorFlow to read it.
        fall_back_to_float32(tuning.precision, obstacle)
    spec = as_saved_model(spec, log)
    began_s = time.perf_counter()
    with report_illegal_instruction(cpuinfo):
        from tfleet.worker.inference.choose_precision import load_in_best_precision  # noqa: PLC0415 - imports TensorFlow
        from tfleet.worker.inference.classifier import Classifier  # noqa: PLC0415 - the same
        from tfleet.worker.inference.session_config import sees_gpu  # noqa: PLC0415 - the same

        imported_s = time.perf_counter()
        classifier, choice = load_in_best_precision(
            spec,
            tuning,
            "the model runs on a GPU" if sees_gpu() else obstacle,
            lambda precision: Classifier.load(spec, cpus=tuning.cpus, precision=precision),
        )
        loaded_s = time.perf_counter()
        warm_up_s = classifier.warm_up(sizes)
    parts = {"import": imported_s - began_s, "load": loaded_s - imported_s, "warm-up": warm_up_s}
    for part, seconds in parts.items():
        metrics.start_seconds.labels(part).set(seconds)
    metrics.cpus.set(tuning.cpus)
    metrics.precision.labels(choice.precision).set(1)
    log.info(
        "model loaded",
        seconds={part: round(seconds, 2) for part, seconds in parts.items()},
        form=classifier.form,
        cpus=tuning.cpus,
        precision=choice.precision,
        because=choice.reason,
        batch_sizes=classifier.batch_sizes,
    )
    _free_loading_memory()
    return classifier


def _free_loading_memory() -> None:
    """Return freed memory to the system: the C library keeps 60 to 120 MB of copies of the graph.

    What is alive now stays alive, so the garbage collector is told to skip it from now on.
    """
    gc.collect()
    gc.freeze()
    trim()
