"""From a description of a model to the one classifier of this process, warm, and how it came to be."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfleet.worker.inference.illegal_instruction import told
from tfleet.worker.inference.precision import Tuning, cpu_obstacle, give_way
from tfleet.worker.memory import trim
from tfleet.worker.metrics import WorkerMetrics
from tfleet.worker.model.spec import ModelSpec

if TYPE_CHECKING:  # importing it for real imports TensorFlow
    from tfleet.worker.inference import Classifier

_CPUINFO = Path("/proc/cpuinfo")


def load_warm(
    spec: ModelSpec, tuning: Tuning, sizes: Sequence[int], metrics: WorkerMetrics, log: Any
) -> Classifier:
    """Load the model and run it in batches of all `sizes`. Raises ModelError.

    What was chosen, and the seconds of each part, are in the log and the metrics.
    """
    cpuinfo = _CPUINFO.read_text()
    obstacle = cpu_obstacle(cpuinfo)
    if tuning.precision == "bfloat16" and obstacle:
        give_way(tuning.precision, obstacle)  # said before TensorFlow is imported, which takes seconds
    began_s = time.perf_counter()
    with told(cpuinfo):
        from tfleet.worker.inference.choose_precision import load_tuned  # noqa: PLC0415 - imports TensorFlow
        from tfleet.worker.inference.classifier import Classifier  # noqa: PLC0415 - the same
        from tfleet.worker.inference.session_config import sees_gpu  # noqa: PLC0415 - the same

        imported_s = time.perf_counter()
        classifier, choice = load_tuned(
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
    _settle()
    return classifier


def _settle() -> None:
    """Give back what loading left, and let the collector never look again at what is alive now: it stays.

    The C library keeps what was freed: 60 to 120 MB of copies of the graph.
    """
    gc.collect()
    gc.freeze()
    trim()
